package import Sodium

/// What a bucket is opened with.
package struct S3Keys: Sendable {
    let access: String
    let secret: Hidden<String>

    package init(access: String, secret: Hidden<String>) { (self.access, self.secret) = (access, secret) }
}

/// Signs requests as Amazon's version 4 wants it.
struct S3Signature: Sendable {
    let keys: S3Keys
    let region: String
    let host: String

    /// The headers of a signed request.
    ///
    /// - Parameters:
    ///   - path: as it is sent; all of it are characters that need no escape.
    ///   - query: in the order of its names, escaped.
    ///   - headers: others that are signed, in lower case.
    ///   - digest: SHA-256 of the body, in hexadecimal.
    ///   - time: of UTC, as `20261127T090514Z`.
    func headers(
        _ method: String, _ path: String, query: String, headers: [(String, String)] = [], digest: String, at time: String
    ) -> [(String, String)] {
        let signed = (headers + [("host", host), ("x-amz-content-sha256", digest), ("x-amz-date", time)]).sorted { $0.0 < $1.0 }
        let names = signed.map(\.0).joined(separator: ";")
        let canonical =
            "\(method)\n\(path)\n\(query)\n" + signed.map { "\($0.0):\($0.1)\n" }.joined() + "\n\(names)\n\(digest)"
        let credential =
            "\(Self.algorithm) Credential=\(credential(at: time)), SignedHeaders=\(names), Signature=\(signature(of: canonical, at: time))"
        return signed + [("authorization", credential)]
    }

    /// The query of an address that whoever has it may ask for, for a while, with any headers.
    ///
    /// - Parameters:
    ///   - path: as it is sent; all of it are characters that need no escape.
    ///   - time: of UTC, as `20261127T090514Z`.
    ///   - seconds: how long from then on.
    func query(_ method: String, _ path: String, at time: String, seconds: Int) -> String {
        let query =
            "X-Amz-Algorithm=\(Self.algorithm)&X-Amz-Credential=\(credential(at: time).percentEncoded)&X-Amz-Date=\(time)"
            + "&X-Amz-Expires=\(seconds)&X-Amz-SignedHeaders=host"
        let canonical = "\(method)\n\(path)\n\(query)\nhost:\(host)\n\nhost\nUNSIGNED-PAYLOAD"
        return "\(query)&X-Amz-Signature=\(signature(of: canonical, at: time))"
    }

    private static let algorithm = "AWS4-HMAC-SHA256"

    private func scope(at time: String) -> String { "\(time.prefix(8))/\(region)/s3/aws4_request" }
    private func credential(at time: String) -> String { "\(keys.access)/\(scope(at: time))" }

    private func signature(of canonical: String, at time: String) -> String {
        let text = "\(Self.algorithm)\n\(time)\n\(scope(at: time))\n\(Sodium.sha256(Array(canonical.utf8)).hexadecimal)"
        let key = [String(time.prefix(8)), region, "s3", "aws4_request"].reduce(Array("AWS4\(keys.secret.value)".utf8)) { key, part in
            Sodium.hmacSHA256(Array(part.utf8), key: key)
        }
        return Sodium.hmacSHA256(Array(text.utf8), key: key).hexadecimal
    }
}

extension String {
    /// As a query has it.
    var percentEncoded: String {
        utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
