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
        let day = String(time.prefix(8))
        let scope = "\(day)/\(region)/s3/aws4_request"
        let signed = (headers + [("host", host), ("x-amz-content-sha256", digest), ("x-amz-date", time)]).sorted { $0.0 < $1.0 }
        let names = signed.map(\.0).joined(separator: ";")
        let canonical =
            "\(method)\n\(path)\n\(query)\n" + signed.map { "\($0.0):\($0.1)\n" }.joined() + "\n\(names)\n\(digest)"
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(Sodium.sha256(Array(canonical.utf8)).hexadecimal)"
        let key = [day, region, "s3", "aws4_request"].reduce(Array("AWS4\(keys.secret.value)".utf8)) { key, part in
            Sodium.hmacSHA256(Array(part.utf8), key: key)
        }
        let signature = Sodium.hmacSHA256(Array(text.utf8), key: key).hexadecimal
        let credential = "AWS4-HMAC-SHA256 Credential=\(keys.access)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
        return signed + [("authorization", credential)]
    }
}
