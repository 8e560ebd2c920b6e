import CSodium

/// Authenticated encryption with a secret key of 32 bytes (XSalsa20-Poly1305), in PyNaCl's form: a random nonce of
/// 24 bytes, then the box.
package struct SecretBox: Sendable, Unprinted {
    /// The length of a key.
    package static let keyBytes = 32
    private static let nonceBytes = Int(crypto_secretbox_NONCEBYTES)
    private static let overheadBytes = Int(crypto_secretbox_MACBYTES)

    private let key: [UInt8]

    /// - Precondition: `key` has 32 bytes.
    package init(key: [UInt8]) {
        precondition(key.count == Self.keyBytes, "a secret box has a key of 32 bytes")
        self.key = key
    }

    /// Encrypts `message` under a new random nonce.
    package func seal(_ message: [UInt8]) -> [UInt8] {
        let nonce = Sodium.randomBytes(Self.nonceBytes)
        var box = [UInt8](repeating: 0, count: message.count + Self.overheadBytes)
        let status = unsafe crypto_secretbox_easy(&box, message, UInt64(message.count), nonce, key)
        precondition(status == 0, "a message that fits into memory can be sealed")
        return nonce + box
    }

    /// The message inside `sealed`, or nil when it was not sealed with this key or was changed since.
    package func open(_ sealed: [UInt8]) -> [UInt8]? {
        let messageBytes = sealed.count - Self.nonceBytes - Self.overheadBytes
        guard messageBytes >= 0 else { return nil }
        let nonce = Array(sealed.prefix(Self.nonceBytes))
        let box = Array(sealed.dropFirst(Self.nonceBytes))
        var message = [UInt8](repeating: 0, count: messageBytes)
        guard unsafe crypto_secretbox_open_easy(&message, box, UInt64(box.count), nonce, key) == 0 else { return nil }
        return message
    }
}
