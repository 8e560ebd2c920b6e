/// What a Redis tells of itself to whoever looks at it once.
package struct RedisFacts: Sendable {
    /// `master`, or what it is instead.
    package let role: String
    /// Why it takes no writes, in its words; nil where it does.
    package let refusal: String?
    /// Nil where it does not tell, as with some services.
    package let version: String?
    package let policy: String?
    package let maximumBytes: Int64?

    package var isPrimary: Bool { role == "master" }

    package init(role: String, refusal: String? = nil, version: String? = nil, policy: String? = nil, maximumBytes: Int64? = nil) {
        (self.role, self.refusal, self.version) = (role, refusal, version)
        (self.policy, self.maximumBytes) = (policy, maximumBytes)
    }

    /// Asks, over a connection of its own.
    ///
    /// - Throws: ``RedisFault`` where it does not answer, or lets nobody in.
    package init(of url: RedisURL) async throws(RedisFault) {
        let dialer: Dialer
        do { dialer = try Dialer(url, timeLimit: Redis.timeLimit) } catch { throw .unavailable(error.description) }
        let connection = try await dialer.open()
        defer { connection.close("looked at") }
        var role = "master"
        // One that does not let us ask is taken for what it should be.
        if case .array(let parts) = try await Self.answer(connection, ["ROLE"]), let word = parts.first?.bytes {
            role = String(decoding: word, as: UTF8.self)
        }
        var refusal: String?
        do throws(RedisFault) { _ = try await connection.ask(["SET", "apus:attempt", "", "XX", "EX", 1]) } catch {
            guard case .refused(let text) = error else { throw error }
            // One who may not write there has no complaint about Redis.
            refusal = RefusedWrites(text) == nil ? nil : text
        }
        let told = try await [Self.told(connection, "server"), Self.told(connection, "memory")].joined(separator: "\n")
        self.init(
            role: role, refusal: refusal, version: Self.field("redis_version", told), policy: Self.field("maxmemory_policy", told),
            maximumBytes: Self.field("maxmemory", told).flatMap { Int64($0) })
    }

    private static func told(_ connection: RedisConnection, _ section: String) async throws(RedisFault) -> String {
        try await answer(connection, ["INFO", .text(section)])?.bytes.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Nil where it is refused.
    private static func answer(_ connection: RedisConnection, _ words: [RedisArgument]) async throws(RedisFault) -> RedisValue? {
        do throws(RedisFault) { return try await connection.ask(words) } catch {
            guard case .refused = error else { throw error }
            return nil
        }
    }

    private static func field(_ name: String, _ text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix(name + ":") {
            return line.dropFirst(name.count + 1).trimmingPrefix(" ").description
        }
        return nil
    }
}
