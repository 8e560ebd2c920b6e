internal import Domain
internal import MessagePack
internal import NIOCore
internal import Sodium

/// Login challenges: what a client signs to show that it knows the password. The server keeps nothing of them: a challenge
/// is sealed with a key derived from the server's secret.
struct Challenges: Sendable {
    private let box: SecretBox
    private let tokenKey: [UInt8]
    private let validSeconds: Int64

    init(secret: [UInt8], validSeconds: Int64) {
        box = SecretBox(key: Sodium.blake2b(secret, personalization: "apus-challenge"))
        tokenKey = Sodium.blake2b(secret, personalization: "apus-login-token")
        self.validSeconds = validSeconds
    }

    func make(for user: UserID, at now: Timestamp) -> [UInt8] {
        var writer = MessagePackWriter()
        writer.map(count: 2)
        writer.pair("timestamp", now.seconds)
        writer.pair("userId", user.rawValue)
        return box.seal(Array(writer.buffer.readableBytesView))
    }

    /// What the token of a login follows from: the same on every front end for the same that was signed. A challenge may be
    /// signed more than once, as recorded; but whoever has only listened gets no session of his own.
    func seed(of response: [UInt8], by user: UserID) -> [UInt8] {
        let salt = (0..<8).map { UInt8(truncatingIfNeeded: user.rawValue >> ($0 * 8)) }
        return Sodium.blake2b(response, key: tokenKey, salt: salt)
    }

    /// What a challenge says, or nil when this server has not made it.
    func open(_ challenge: [UInt8]) -> (user: UserID, madeAt: Int64)? {
        guard let plain = box.open(challenge) else { return nil }
        do {
            guard case .map(let map) = try MessagePackValue(validating: ByteBuffer(bytes: plain)).kind,
                case .int(let madeAt) = map["timestamp"]?.kind, case .int(let user) = map["userId"]?.kind
            else { return nil }
            return (UserID(rawValue: user), madeAt)
        } catch { return nil }
    }

    func isExpired(madeAt: Int64, at now: Timestamp) -> Bool { now.seconds - madeAt > validSeconds }
}

extension Timestamp {
    fileprivate var seconds: Int64 { rawValue / 1_000_000 }
}
