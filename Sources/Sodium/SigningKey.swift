import CSodium

/// A pair of keys for Ed25519 signatures that follows from a seed.
package struct SigningKey: Sendable, Unprinted {
    /// How long a seed is.
    package static let seedBytes = 32

    private let secretKey: [UInt8]
    /// What signatures are checked with, 32 bytes.
    package let publicKey: [UInt8]

    /// - Precondition: `seed` has 32 bytes.
    package init(seed: [UInt8]) {
        precondition(seed.count == Self.seedBytes, "a signing key has a seed of 32 bytes")
        _ = Sodium.ready
        var publicKey = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
        var secretKey = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
        let status = unsafe crypto_sign_seed_keypair(&publicKey, &secretKey, seed)
        precondition(status == 0, "every seed gives keys")
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// The signature of a message, 64 bytes.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
        let status = unsafe crypto_sign_detached(&signature, nil, message, UInt64(message.count), secretKey)
        precondition(status == 0, "every message can be signed")
        return signature
    }
}
