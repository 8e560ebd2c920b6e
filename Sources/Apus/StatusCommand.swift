internal import ArgumentParser
internal import Foundation
internal import Logging
internal import Server

/// `apus status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Tells how a server is, and what should be seen to.",
        discussion: """
            Beside a running server or without one, with the settings of the server. Processes tell of themselves in the log's \
            database: one that was killed is gone from here after 15 seconds, on SQLite after 90.
            """)

    @Flag(help: "One line of JSON.")
    var json = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let node = try await Node(dataOptions, environment, onlyAsks: true, logger: Logger(label: "apus"))
        let status = try await Status.find(
            node, folder: dataOptions.folder(environment), chunkFolder: dataOptions.chunkFolder(environment),
            redis: environment.optional(Settings.redisURL), version: Apus.version, at: Node.clock())
        try node.close()
        if json { return print(try JSONLine.text(status)) }
        for line in Self.lines(status) { print(line) }
    }

    private static func lines(_ status: Status) -> [String] {
        var lines = [
            line("engine", status.engine), line("version", status.version),
            line("log", "ends at \(status.head), epoch \(status.epoch)\(status.isWritable ? "" : ", takes no writes")"),
            line("sealed", "up to \(status.seal.position)\(status.seal.lagSeconds > 0 ? ", \(status.seal.lagSeconds) s behind" : "")"),
        ]
        lines += status.readModels.map { line("read model", "\($0.name): \(lag($0))") }
        lines += status.processes.map { process in
            let place = process.address.map { " at \($0)" } ?? ""
            let times = "since \(process.since), seen \(process.lastSeen)"
            return line("process", "\(process.roles)\(place), \(process.version), \(process.sockets) sockets, \(times)")
        }
        lines += [
            line("users", "\(status.users) users (\(status.disabledUsers) disabled)"),
            line("kept", "\(status.collections) collections, \(status.items) items"),
            line("size", "\(size(status.databaseBytes)) in the database, \(size(status.chunkFileBytes)) in files of chunks"),
            line("sessions", "\(status.sessionsExpiring) end within a week unless they are used"),
            line("backup", status.backup.map { "\($0.time), up to \($0.position)" } ?? "none"),
        ]
        return lines + status.warnings.map { line("warning", $0) }
    }

    private static func line(_ name: String, _ text: String) -> String {
        name + String(repeating: " ", count: max(1, 12 - name.count)) + text
    }

    private static func lag(_ model: Status.ReadModelStatus) -> String {
        let lag = model.lagEvents == 0 ? "up to date" : "\(model.lagEvents) events and \(model.lagSeconds) s behind"
        return switch model.isLeased {
        case nil: lag
        case true?: "\(lag), a projector has the lease"
        case false?: "\(lag), no projector has the lease"
        }
    }

    private static func size(_ bytes: Int64) -> String {
        bytes < 10 << 20 ? "\(bytes >> 10) KiB" : bytes < 10 << 30 ? "\(bytes >> 20) MiB" : "\(bytes >> 30) GiB"
    }
}
