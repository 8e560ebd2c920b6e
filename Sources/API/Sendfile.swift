internal import Contents
internal import HTTPTypes
internal import Hummingbird

/// How the proxy before the server is told to send a file itself: it reads faster than it is read to, and knows ranges.
package enum Sendfile: Sendable, Equatable {
    /// nginx: an address of its own, below the one at which it has the folder of all chunks, and gives to nobody who asks for it.
    case accelRedirect(prefix: String)
    /// Apache's mod_xsendfile, which takes the path of the file as it is, and lighttpd, which decodes it as an address.
    case sendfile

    /// Reads `x-accel-redirect:/PREFIX` or `x-sendfile`; nil for anything else.
    package init?(_ text: String) {
        if text == "x-sendfile" {
            self = .sendfile
            return
        }
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[0] == "x-accel-redirect", let prefix = Self.prefix(String(parts[1])) else { return nil }
        self = .accelRedirect(prefix: prefix)
    }

    /// With one slash at each end.
    private static func prefix(_ text: String) -> String? {
        let names = text.split(separator: "/")
        guard text.hasPrefix("/"), !names.isEmpty, names.allSatisfy({ $0 != "." && $0 != ".." && Self.encoded(String($0)) == $0 })
        else { return nil }
        return "/" + names.joined(separator: "/") + "/"
    }

    /// The answer in whose place an object goes out, which the proxy gets from the S3 store; nil where it cannot.
    ///
    /// - Parameter address: path and query there.
    func answer(object address: String) -> Response? {
        guard case .accelRedirect(let prefix) = self else { return nil }
        return Response(
            status: .ok, headers: [.contentType: MediaType.binary, Self.accelHeader: prefix + address.trimmingPrefix("/")])
    }

    /// The answer in whose place the file goes out; nil where no proxy can be told its name.
    func answer(_ file: SentFile) -> Response? {
        var response = Response(status: .ok, headers: [.contentType: MediaType.binary])
        switch self {
        case .accelRedirect(let prefix): response.headers[Self.accelHeader] = prefix + Self.encoded(file.relativePath)
        case .sendfile:
            // What would be another name once it is decoded, or no text of a header.
            guard !file.path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "%") }) else { return nil }
            response.headers[Self.sendfileHeader] = file.path
        }
        return response
    }

    private static let (accelHeader, sendfileHeader): (HTTPField.Name, HTTPField.Name) = {
        guard let accel = HTTPField.Name("X-Accel-Redirect"), let sendfile = HTTPField.Name("X-Sendfile") else {
            preconditionFailure("these are names of headers")
        }
        return (accel, sendfile)
    }()

    /// As an address has it: adopted rows may hold any bytes.
    private static func encoded(_ path: String) -> String {
        path.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
