/// A client of S3: whole objects, parts of them, and lists, at any provider that speaks as Amazon's does.
///
/// Pattern: ``S3Bucket`` asks over HTTP and signs each request (``S3Signature``); what fails for a while is tried again, with pauses
/// that are drawn by lot. Nothing is asked for that some providers lack: no conditions, no uploads in parts.
///
/// Invariants: the bytes of an upload are signed, so one that arrives in part or changed is refused by the other side. No key or
/// signature is in an error or a log line.
///
/// Concurrency: any number of requests at once; of connections there is a bounded number, for which the others wait.
internal import Foundation

/// Where objects lie: `s3://BUCKET/PREFIX?endpoint=…&region=…&path-style=…&ca=…`.
package struct S3Address: Hashable, Sendable, CustomStringConvertible {
    /// Why a text is no such address.
    package struct Mistake: Error, CustomStringConvertible, Sendable {
        package let description: String
        init(_ description: String) { self.description = description }
    }

    /// Without what only tells how it is reached.
    package let description: String
    let region: String
    let isEncrypted: Bool
    /// What requests go to, and say as their Host.
    let host: String
    let port: Int?
    /// How the path of each object begins: with a slash, and one at the end.
    let root: String
    /// How the name of each object begins.
    let prefix: String
    /// The path of the bucket itself.
    let bucketPath: String
    /// The file with the authorities that the server's certificate is checked with; nil for the system's.
    let authorityFile: String?

    package init(_ text: String) throws(Mistake) {
        let scheme = "s3://"
        guard text.hasPrefix(scheme) else { throw Mistake("it does not begin with s3://") }
        let parts = text.dropFirst(scheme.count).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "/")
        guard let bucket = names.first.map(String.init), bucket.utf8.count >= 3, Self.isPlain(bucket, and: ".-") else {
            throw Mistake("it names no bucket, as s3://BUCKET/PREFIX does")
        }
        guard names.dropFirst().allSatisfy({ Self.isPlain(String($0), and: ".-_") && $0 != "." && $0 != ".." }) else {
            throw Mistake("a prefix has letters, digits, dots, hyphens, underscores and slashes")
        }
        let options = try Self.options(parts.count > 1 ? String(parts[1]) : "")
        region = options["region"] ?? "us-east-1"
        guard Self.isPlain(region, and: "-") else { throw Mistake("the region is none") }
        let endpoint = options["endpoint"] ?? "https://s3.\(region).amazonaws.com"
        guard let url = URL(string: endpoint), let scheme = url.scheme, ["http", "https"].contains(scheme), let server = url.host(),
            ["", "/"].contains(url.path()), url.query() == nil, url.user() == nil
        else { throw Mistake("the endpoint is no address such as https://s3.example.com") }
        isEncrypted = scheme == "https"
        port = url.port
        let isPathStyle: Bool
        switch options["path-style"] {
        case nil: isPathStyle = options["endpoint"] != nil
        case "on", "true": isPathStyle = true
        case "off", "false": isPathStyle = false
        default: throw Mistake("path-style is on or off")
        }
        host = isPathStyle ? server : "\(bucket).\(server)"
        bucketPath = isPathStyle ? "/\(bucket)" : "/"
        prefix = names.dropFirst().map { $0 + "/" }.joined()
        root = (isPathStyle ? "/\(bucket)/" : "/") + prefix
        authorityFile = options["ca"]
        description = "s3://" + names.joined(separator: "/")
    }

    /// What stands behind the question mark.
    private static func options(_ text: String) throws(Mistake) -> [String: String] {  // names of ours
        var options: [String: String] = [:]  // names of ours
        for option in text.split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2, ["endpoint", "region", "path-style", "ca"].contains(pair[0]), options[pair[0]] == nil,
                let value = pair[1].removingPercentEncoding
            else { throw Mistake("behind the question mark there are endpoint, region, path-style and ca, each with a value, once") }
            options[pair[0]] = value
        }
        return options
    }

    private static func isPlain(_ text: String, and others: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || others.utf8.contains(byte)
            }
    }

    /// What requests say as their Host.
    var authority: String {
        guard let port, port != (isEncrypted ? 443 : 80) else { return host }
        return "\(host):\(port)"
    }

    var origin: String { (isEncrypted ? "https://" : "http://") + authority }
}
