internal import Foundation
internal import Glibc
internal import Logging
internal import NIOCore
internal import ServiceLifecycle

/// Tells systemd how this process is doing, where the unit has `Type=notify`: when clients are served, that it lives, that it ends.
///
/// The protocol is that of sd_notify(3): lines of `NAME=value` as a datagram to the unix socket that `NOTIFY_SOCKET` names. Where the
/// environment names none, nothing is told. What cannot be told is logged and changes nothing: the server is more than its manager.
struct ServiceManager: Sendable {
    /// What goes into the address of a unix socket, `sun_path` of unix(7).
    private static let longestPathBytes = 107

    private let path: String?
    /// How often a sign of life is due; nil where nobody waits for one.
    let watchdogInterval: Duration?
    private let logger: Logger

    /// - Parameter environment: `NOTIFY_SOCKET`, a path or an abstract name after `@`; `WATCHDOG_USEC`, the time in microseconds after
    ///   which a silent process is ended; `WATCHDOG_PID`, whom that is about.
    init(_ environment: [String: String], processID: Int32 = getpid(), logger: Logger) {
        path = environment["NOTIFY_SOCKET"].flatMap { path in
            (path.hasPrefix("/") || path.hasPrefix("@")) && path.utf8.count <= Self.longestPathBytes ? path : nil
        }
        let isMeant = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        watchdogInterval = environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap { microseconds in
            // Twice within the time, as sd_watchdog_enabled(3) advises.
            microseconds > 1 && isMeant ? .microseconds(microseconds / 2) : nil
        }
        self.logger = logger
    }

    /// Says that the server is ready, and in words how it is.
    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status.replacing("\n", with: " "))") }

    fileprivate func stopping() { tell("STOPPING=1\nSTATUS=ending") }

    fileprivate func isAlive() { tell("WATCHDOG=1") }

    private func tell(_ text: String) {
        guard let path else { return }
        let code = Self.send(text, to: path)
        if code != 0 { logger.warning("the service manager cannot be told", metadata: ["errno": .stringConvertible(code)]) }
    }

    /// Sends a datagram.
    ///
    /// - Returns: 0, or the error's number.
    private static func send(_ text: String, to path: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        // An abstract name begins with a zero, and its length counts.
        if path.hasPrefix("@") { address.sun_path.0 = 0 }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.utf8.count)
        let sent = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                // Who does not read what it asked for must not hold the server up.
                unsafe Array(text.utf8).withUnsafeBytes { text in
                    unsafe sendto(descriptor, text.baseAddress, text.count, Int32(MSG_DONTWAIT), address, length)
                }
            }
        }
        return sent < 0 ? errno : 0
    }
}

/// Gives signs of life for as long as the process has anything to do: to stand first among the services, so that it ends last.
///
/// A sign is given when the cooperative pool and every event loop have answered since the last one: a process in which one of them is
/// stuck is ended and started again. A database that does not answer is no reason: starting anew would not mend it.
struct Watchdog: Service {
    let manager: ServiceManager
    let interval: Duration
    let eventLoops: any EventLoopGroup

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    for loop in eventLoops.makeIterator() { try await loop.submit {}.get() }
                    manager.isAlive()
                    try await Task.sleep(for: interval)
                }
            }
        } catch is CancellationError {}
    }
}

/// Says that the end has begun: to stand last among the services, so that it is the first to be told.
struct Farewell: Service {
    let manager: ServiceManager

    func run() async throws {
        try await gracefulShutdown()
        manager.stopping()
    }
}
