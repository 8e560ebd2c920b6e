import CSodium

/// SHA-256 of bytes that come one after the other: for what others have set; of ours there is BLAKE2b.
package struct SHA256: Sendable {
    private var state = crypto_hash_sha256_state()

    package init() {
        _ = Sodium.ready
        let status = unsafe crypto_hash_sha256_init(&state)
        precondition(status == 0, "SHA-256 can always be begun")
    }

    package mutating func update(_ bytes: [UInt8]) {
        let status = unsafe crypto_hash_sha256_update(&state, bytes, UInt64(bytes.count))
        precondition(status == 0, "SHA-256 has every message")
    }

    /// The hash of all bytes so far. More may come.
    package func finish() -> [UInt8] {
        var state = state
        var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        let status = unsafe crypto_hash_sha256_final(&state, &hash)
        precondition(status == 0, "SHA-256 can always be ended")
        return hash
    }
}

extension Sodium {
    /// HMAC with SHA-256, for what others have set.
    package static func hmacSHA256(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        _ = ready
        var state = crypto_auth_hmacsha256_state()
        var code = [UInt8](repeating: 0, count: Int(crypto_auth_hmacsha256_BYTES))
        var status = unsafe crypto_auth_hmacsha256_init(&state, key, key.count)
        status |= unsafe crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
        status |= unsafe crypto_auth_hmacsha256_final(&state, &code)
        precondition(status == 0, "HMAC has every message and key")
        return code
    }
}
