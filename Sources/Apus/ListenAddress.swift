internal import ArgumentParser
internal import Foundation
internal import Glibc
internal import Hummingbird

/// Where a server listens.
enum ListenAddress {
    case port(host: String, Int)
    /// A socket in the file system, for a proxy on the same machine.
    case socket(path: String)

    /// - Throws: `ValidationError` for what is neither.
    init(_ text: String) throws {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard (1..<Self.pathLimitBytes).contains(path.utf8.count) else {
                throw ValidationError("\(text): the path of a socket has 1 to \(Self.pathLimitBytes - 1) bytes")
            }
            self = .socket(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port) else {
            throw ValidationError(
                "\(text) is no address and port, such as 127.0.0.1:3735, and no path of a socket, such as unix:/run/apus.sock")
        }
        let host = text[..<colon].trimmingCharacters(in: ["[", "]"])
        self = .port(host: host.isEmpty ? "0.0.0.0" : host, port)
    }

    /// What the kernel takes, with the NUL at its end.
    private static let pathLimitBytes = 108

    /// The address, to be told.
    var text: String {
        switch self {
        case .port(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .socket(let path): "unix:\(path)"
        }
    }

    var bindAddress: BindAddress {
        switch self {
        case .port(let host, let port): .hostname(host, port: port)
        case .socket(let path): .unixDomainSocket(path: path)
        }
    }

    /// To be called before the server is started, which takes away what a server that was killed has left.
    ///
    /// - Throws: `ValidationError` where another server answers at the socket, or the file is none.
    func prepare() throws {
        guard case .socket(let path) = self else { return }
        let folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        guard FileManager.default.fileExists(atPath: folder) else { throw ValidationError("there is no folder \(folder) for the socket") }
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw ValidationError("\(path) is there already, and no socket") }
        guard try !Self.isAnswered(path) else { throw ValidationError("another server listens on \(path)") }
    }

    /// To be called once the server listens: who may enter the folder may connect, as a proxy with a user of its own.
    func open() throws {
        guard case .socket(let path) = self else { return }
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: path)
    }

    private static func isAnswered(_ path: String) throws -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw ValidationError("no socket can be opened") }
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
