internal import Foundation
internal import Glibc
internal import Hummingbird

/// Where a server listens.
package enum ListenAddress: Sendable {
    case port(host: String, Int)
    /// A socket in the file system, for a proxy on the same machine.
    case socket(path: String)

    /// - Throws: ``SettingFault`` for what is neither.
    package init(_ text: String) throws(SettingFault) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            let longest = Self.pathLimitBytes - 1 - Self.newSuffix.utf8.count
            guard (1...longest).contains(path.utf8.count) else {
                throw SettingFault("\(text): the path of a socket has 1 to \(longest) bytes")
            }
            self = .socket(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port) else {
            throw SettingFault(
                "\(text) is no address and port, such as 127.0.0.1:3735, and no path of a socket, such as unix:/run/apus.sock")
        }
        let host = text[..<colon].trimmingCharacters(in: ["[", "]"])
        self = .port(host: host.isEmpty ? "0.0.0.0" : host, port)
    }

    /// What the kernel takes, with the NUL at its end.
    private static let pathLimitBytes = 108

    /// The address, to be told.
    package var text: String {
        switch self {
        case .port(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .socket(let path): "unix:\(path)"
        }
    }

    var bindAddress: BindAddress {
        switch self {
        case .port(let host, let port): .hostname(host, port: port)
        case .socket(let path): .unixDomainSocket(path: path + Self.newSuffix)
        }
    }

    /// A socket is made beside its place, and moved there once it is listened on.
    private static let newSuffix = ".new"

    /// To be called before the server is started. What a server that has ended left there is no hindrance.
    ///
    /// - Throws: ``SettingFault`` where another server answers at the socket, or the file is none.
    package func prepare() throws {
        guard case .socket(let path) = self else { return }
        let folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        guard FileManager.default.fileExists(atPath: folder) else { throw SettingFault("there is no folder \(folder) for the socket") }
        let type: FileAttributeType?
        // Nothing is there.
        do { type = try FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType } catch { return }
        guard type == .typeSocket else { throw SettingFault("\(path) is there already, and no socket") }
        guard try !Self.isAnswered(path) else { throw SettingFault("another server listens on \(path)") }
    }

    /// To be called once the server listens: puts the socket where it is looked for, so that nobody meets one that does not
    /// answer yet. Who may enter the folder may connect, as a proxy with a user of its own.
    func open() throws {
        guard case .socket(let path) = self else { return }
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: path + Self.newSuffix)
        guard unsafe rename(path + Self.newSuffix, path) == 0 else { throw OperatorFault("\(path) cannot be made") }
    }

    private static func isAnswered(_ path: String) throws -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SettingFault("no socket can be opened") }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        return unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
