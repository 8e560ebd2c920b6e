internal import Foundation
internal import Glibc

/// How many files, sockets and the like this process may have open.
enum Descriptors {
    /// What is kept free beside clients' connections: for databases, Redis, files of chunks, and what the libraries open. One
    /// that finds none left ends the process.
    static let reserve = 64
    /// As many connections as a server has that nobody has told otherwise.
    private static let usualConnections = 10_000
    private static let fewestConnections = 8

    /// Raises the limit to what the system allows, and finds how many connections fit below it.
    ///
    /// - Parameter wanted: how many there are to be; nil for the usual number, or as many as fit.
    /// - Throws: ``SettingFault`` where they do not fit.
    static func connections(_ wanted: Int?) throws -> Int {
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        }
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        let free = Int(clamping: limit.rlim_cur) - open - reserve
        guard free >= fewestConnections else {
            throw SettingFault(
                "\(limit.rlim_cur) open files are too few for a server: raise the limit (ulimit -n)")
        }
        let wanted = wanted ?? min(free, usualConnections)
        guard wanted <= free else {
            throw SettingFault(
                "\(wanted) connections do not fit below the limit of \(limit.rlim_cur) open files (ulimit -n): \(free) would")
        }
        return wanted
    }
}
