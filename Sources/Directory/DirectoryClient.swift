internal import Dispatch
internal import Domain
internal import Telemetry

/// Asks a directory, over one connection that is kept, on a thread of its own. Of several servers it stays with the one that answered
/// last.
actor DirectoryClient {
    /// Runs the actor's work on a serial queue, so that the library's blocking calls never hold a thread of the cooperative pool.
    private final class QueueExecutor: SerialExecutor {
        private let queue = DispatchQueue(label: "apus.directory")

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
        }
    }

    private let settings: DirectorySettings
    private let executor = QueueExecutor()
    private var connection: LDAPConnection?
    /// Which of the servers it leads to, or led to.
    private var server = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    init(_ settings: DirectorySettings) { self.settings = settings }

    /// What is said of somebody; nil where they are not there.
    ///
    /// - Parameter isWanted: whether it is still to be asked, when it is our turn.
    /// - Returns: nil where it is not.
    /// - Throws: ``DirectoryFault``, of every server.
    func look(_ name: CanonicalName, if isWanted: @Sendable () -> Bool = { true }) throws(DirectoryFault) -> Listing?? {
        guard isWanted() else { return nil }
        // Nobody is called so, whatever a filter finds.
        guard !name.text.isEmpty else { return .some(nil) }
        let start = ContinuousClock.now
        do throws(DirectoryFault) {
            let listing = try use { connection throws(DirectoryFault) in try connection.look(name.text) }
            Telemetry.directory.looks[listing == nil ? .unlisted : .listed].increment()
            Telemetry.directory.durations.record(since: start)
            return .some(listing)
        } catch {
            Telemetry.directory.looks[.failed].increment()
            throw error
        }
    }

    /// Looks whether it answers.
    ///
    /// - Throws: ``DirectoryFault``
    func probe() throws(DirectoryFault) {
        try use { connection throws(DirectoryFault) in try connection.probe() }
    }

    /// Works with the connection, or with a new one: to the same server, or to the next that answers.
    private func use<T>(_ body: (LDAPConnection) throws(DirectoryFault) -> T) throws(DirectoryFault) -> T {
        var first = 0
        if let connection {
            do throws(DirectoryFault) { return try body(connection) } catch {
                // Servers end connections that were idle for long: it may well be there. One that is silent goes on being so.
                self.connection = nil
                first = error.isSilence && settings.servers.count > 1 ? 1 : 0
            }
        }
        var faults: [DirectoryFault] = []
        for offset in first..<settings.servers.count {
            let index = (server + offset) % settings.servers.count
            do throws(DirectoryFault) {
                let opened = try LDAPConnection(settings.servers[index], settings)
                let answer = try body(opened)
                (connection, server) = (opened, index)
                return answer
            } catch { faults.append(error) }
        }
        throw DirectoryFault(faults.map(\.description).joined(separator: "; "), isSilence: faults.contains(where: \.isSilence))
    }
}

extension DirectorySettings {
    /// Looks at each server once; what is wrong with it, where something is.
    package func examine() async -> [(server: DirectoryAddress, fault: DirectoryFault?)] {
        var found: [(server: DirectoryAddress, fault: DirectoryFault?)] = []
        for server in servers {
            do throws(DirectoryFault) {
                try await DirectoryClient(only(server)).probe()
                found.append((server, nil))
            } catch { found.append((server, error)) }
        }
        return found
    }

    private func only(_ server: DirectoryAddress) -> DirectorySettings {
        var settings = DirectorySettings(servers: [server], base: base, filter: filter)
        (settings.login, settings.startsTLS, settings.authoritiesPath) = (login, startsTLS, authoritiesPath)
        (settings.group, settings.adminGroup) = (group, adminGroup)
        return settings
    }
}
