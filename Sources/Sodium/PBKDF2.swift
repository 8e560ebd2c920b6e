internal import CSodium

extension Sodium {
    /// PBKDF2 with HMAC-SHA256, its first 32 bytes: for passwords that others have kept.
    ///
    /// - Parameter iterations: at least one; each costs some hundred nanoseconds.
    package static func pbkdf2SHA256(_ password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8] {
        _ = ready
        // The state after the key is the same for each.
        var keyed = crypto_auth_hmacsha256_state()
        unsafe crypto_auth_hmacsha256_init(&keyed, password, password.count)
        func hmac(_ message: [UInt8], into block: inout [UInt8]) {
            var state = keyed
            unsafe crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
            unsafe crypto_auth_hmacsha256_final(&state, &block)
        }
        var block = [UInt8](repeating: 0, count: Int(crypto_auth_hmacsha256_BYTES))
        hmac(salt + [0, 0, 0, 1], into: &block)
        var key = block
        for _ in 1..<max(iterations, 1) {
            let last = block
            hmac(last, into: &block)
            for index in key.indices { key[index] ^= block[index] }
        }
        return key
    }
}
