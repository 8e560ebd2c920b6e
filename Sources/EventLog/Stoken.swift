internal import Domain
internal import NIOCore
internal import Sodium

/// Makes and reads stokens: an epoch and a position, sealed with a key derived from the server's secret, in 32 URL-safe
/// characters. The same position always gives the same stoken, since clients compare them.
///
/// The form is that of a synthetic nonce: a keyed hash of the content is the tag, and the content is masked with a keyed
/// hash of the tag, so that a stoken tells nobody how much goes on in the server, and none can be forged.
package struct StokenSealer: Sendable {
    private static let tagBytes = 12
    private static let contentBytes = 12

    private let tagKey: Hidden<[UInt8]>
    private let maskKey: Hidden<[UInt8]>

    /// - Parameter secret: the server's secret; all nodes have the same.
    package init(secret: [UInt8]) {
        tagKey = Hidden(Sodium.blake2b(secret, personalization: "apus-stoken-tag"))
        maskKey = Hidden(Sodium.blake2b(secret, personalization: "apus-stoken-mask"))
    }

    /// The stoken of a position: 32 characters of `A-Za-z0-9-_`.
    package func stoken(_ head: LogHead) -> String {
        var content = ByteBuffer()
        content.writeInteger(UInt32(truncatingIfNeeded: head.epoch))
        content.writeInteger(head.position.rawValue)
        let plain = Array(content.readableBytesView)
        let tag = tag(of: plain)
        return Base64URL.encode(tag + masked(plain, with: tag))
    }

    /// The position in a stoken, or nil when this server has not made it.
    package func open(_ stoken: String) -> LogHead? {
        guard Self.hasForm(stoken), let bytes = Base64URL.decode(stoken) else { return nil }
        let tag = Array(bytes.prefix(Self.tagBytes))
        let plain = masked(Array(bytes.dropFirst(Self.tagBytes)), with: tag)
        guard self.tag(of: plain) == tag else { return nil }
        var content = ByteBuffer(bytes: plain)
        guard let epoch = content.readInteger(as: UInt32.self), let position = content.readInteger(as: Int64.self) else { return nil }
        return LogHead(position: Position(rawValue: position), epoch: Int64(epoch))
    }

    /// Whether a text is in the form of stokens, which those of adopted databases need not be in.
    package static func hasForm(_ text: String) -> Bool {
        Base64URL.decode(text)?.count == tagBytes + contentBytes
    }

    private func tag(of content: [UInt8]) -> [UInt8] {
        Array(Sodium.blake2b(content, key: tagKey.value, length: 16).prefix(Self.tagBytes))
    }

    private func masked(_ content: [UInt8], with tag: [UInt8]) -> [UInt8] {
        zip(content, Sodium.blake2b(tag, key: maskKey.value, length: 16)).map { $0 ^ $1 }
    }
}

/// Base 64 with the alphabet of URLs, without padding (RFC 4648 §5).
enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let values: [UInt8?] = {
        var values = [UInt8?](repeating: nil, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// - Precondition: the number of bytes is a multiple of 3.
    static func encode(_ bytes: [UInt8]) -> String {
        precondition(bytes.count.isMultiple(of: 3), "only whole groups are encoded")
        var characters: [UInt8] = []
        characters.reserveCapacity(bytes.count / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = UInt32(bytes[start]) << 16 | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2])
            for shift: UInt32 in [18, 12, 6, 0] { characters.append(alphabet[Int(group >> shift & 63)]) }
        }
        return String(decoding: characters, as: UTF8.self)
    }

    /// The bytes, or nil for anything that ``encode(_:)`` does not give.
    static func decode(_ text: String) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count.isMultiple(of: 4) else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: characters.count, by: 4) {
            var group: UInt32 = 0
            for character in characters[start..<start + 4] {
                guard let value = values[Int(character)] else { return nil }
                group = group << 6 | UInt32(value)
            }
            bytes += [UInt8(truncatingIfNeeded: group >> 16), UInt8(truncatingIfNeeded: group >> 8), UInt8(truncatingIfNeeded: group)]
        }
        return bytes
    }
}
