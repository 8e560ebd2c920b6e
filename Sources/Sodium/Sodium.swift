/// Typed doors to libsodium: keyed BLAKE2b, random bytes, secret boxes, sealed records, Ed25519.
///
/// libsodium is initialized once, on first use; after that all its functions used here are pure and may be called from
/// any thread. Keys and plain texts are never logged and never part of an error.
import CSodium

/// The functions of libsodium that Apus uses.
package enum Sodium {
    /// libsodium's own set-up. `sodium_init` is thread-safe and answers below zero only where the machine has no
    /// source of randomness, without which no server can be run.
    static let ready: Void = {
        precondition(sodium_init() >= 0, "libsodium finds no source of randomness")
    }()

    /// Random bytes, fit for keys.
    package static func randomBytes(_ count: Int) -> [UInt8] {
        _ = ready
        var bytes = [UInt8](repeating: 0, count: count)
        unsafe randombytes_buf(&bytes, count)
        return bytes
    }

    /// A string of `count` random characters out of `A-Z a-z 0-9`, as the original makes its tokens.
    package static func randomAlphanumerics(_ count: Int) -> String {
        _ = ready
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        let characters = (0..<count).map { _ in alphabet[Int(randombytes_uniform(UInt32(alphabet.count)))] }
        return String(decoding: characters, as: UTF8.self)
    }

    /// A string of `count` characters out of `A-Z a-z 0-9`, as evenly distributed as the seed is secret: the same for the same
    /// seed.
    package static func alphanumerics(_ count: Int, from seed: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        // The greatest multiple of the alphabet's length that a byte can be below.
        let even = UInt8(256 / alphabet.count * alphabet.count)
        var characters: [UInt8] = []
        var block: UInt8 = 0
        while characters.count < count {
            let bytes = blake2b([block], key: seed, personalization: "apus-characters", length: 64)
            characters += bytes.filter { $0 < even }.map { alphabet[Int($0) % alphabet.count] }
            block += 1
        }
        return String(decoding: characters.prefix(count), as: UTF8.self)
    }

    /// BLAKE2b of `message`.
    ///
    /// - Parameters:
    ///   - key: at most 64 bytes; none for a plain hash.
    ///   - salt: at most 16 bytes are used; shorter ones are filled up with zeros, as PyNaCl does.
    ///   - personalization: at most 16 bytes, filled up with zeros.
    ///   - length: of the hash, 16 to 64 bytes.
    package static func blake2b(
        _ message: [UInt8], key: [UInt8] = [], salt: some Sequence<UInt8> = [], personalization: String = "", length: Int = 32
    ) -> [UInt8] {
        _ = ready
        let saltBytes = filled(salt, to: Int(crypto_generichash_blake2b_SALTBYTES))
        let personalBytes = filled(personalization.utf8, to: Int(crypto_generichash_blake2b_PERSONALBYTES))
        var hash = [UInt8](repeating: 0, count: length)
        let status = unsafe crypto_generichash_blake2b_salt_personal(
            &hash, length, message, UInt64(message.count), key, key.count, saltBytes, personalBytes)
        precondition(status == 0, "a BLAKE2b hash has 16 to 64 bytes and a key of at most 64")
        return hash
    }

    /// SHA-256, for what others have set; of ours there is BLAKE2b.
    package static func sha256(_ message: [UInt8]) -> [UInt8] {
        _ = ready
        var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        let status = unsafe crypto_hash_sha256(&hash, message, UInt64(message.count))
        precondition(status == 0, "SHA-256 has every message")
        return hash
    }

    private static func filled(_ bytes: some Sequence<UInt8>, to count: Int) -> [UInt8] {
        let used = Array(bytes.prefix(count))
        return used + [UInt8](repeating: 0, count: count - used.count)
    }

    /// Whether `signature` is an Ed25519 signature of `message` by the owner of `publicKey`.
    ///
    /// Keys and signatures of the wrong length are not valid; they are no error.
    package static func isValid(signature: [UInt8], of message: [UInt8], by publicKey: [UInt8]) -> Bool {
        _ = ready
        guard signature.count == Int(crypto_sign_BYTES), publicKey.count == Int(crypto_sign_PUBLICKEYBYTES) else { return false }
        return unsafe crypto_sign_verify_detached(signature, message, UInt64(message.count), publicKey) == 0
    }
}
