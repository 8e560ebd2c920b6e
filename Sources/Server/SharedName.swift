internal import Database
internal import Sodium

/// What the names of channels and keys in Redis begin with: of one database, whatever else shares the Redis. Nobody without the
/// secret knows it.
enum SharedName {
    static func of(_ database: PostgresDatabase, secret: [UInt8]) async throws -> String {
        let name = try await database.read { connection in try connection.first(selectName, []) { $0.text(0) } ?? "" }
        let key = Sodium.blake2b(secret, personalization: "apus-channels")
        let tag = Sodium.blake2b(Array(name.utf8), key: key, length: 16)
        return "apus:" + tag.hexadecimal
    }

    /// The same for all who are connected to a database or to one of its standbys, however they got there.
    static let selectName = Statement(
        "SELECT system_identifier::text || ' ' || current_database()::text FROM pg_control_system()")
}
