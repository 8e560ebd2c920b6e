/// Seals: what proves that the log is what it was.
///
/// Pattern: off the write path, each stretch of the log that has none yet gets a seal. It holds a hash of each event, over all
/// columns of its row as they are stored, and a hash over those and the seal before, which is signed. So a seal covers
/// everything up to its position, and a hash that does not fit names the event.
///
/// What a seal proves: whoever cannot sign with the server's key cannot change, remove, insert or reorder a sealed event
/// unnoticed. Whoever can — the operator, or who has the secret — can make all seals anew, but not so that one that was kept
/// elsewhere still fits. Payloads are sealed as they are stored, encrypted: destroying the key of a stream changes no seal.
///
/// Concurrency: any number of processes may seal; that a stretch begins once is a constraint of the table.
internal import Database
package import Domain
internal import Sodium

/// A seal, as it is kept beside the log and as it is printed.
package struct Seal: Hashable, Sendable {
    /// The last event that is covered; the first one of all is covered too.
    package let position: Position
    /// 32 bytes.
    package let hash: [UInt8]
    /// 64 bytes.
    package let signature: [UInt8]
    /// Of the key that it is signed with, 32 bytes.
    package let publicKey: [UInt8]

    private static let mark = "apus-seal-1"

    init(position: Position, hash: [UInt8], signature: [UInt8], publicKey: [UInt8]) {
        self.position = position
        self.hash = hash
        self.signature = signature
        self.publicKey = publicKey
    }

    /// A seal as it was printed; nil when it is none.
    package init?(_ text: String) {
        let fields = text.split { $0.isWhitespace }
        let bytes = fields.dropFirst(2).compactMap(Self.bytes)
        guard fields.count == 5, fields[0] == Self.mark, let number = Int64(fields[1]), bytes.count == 3 else { return nil }
        self.init(position: Position(rawValue: number), hash: bytes[0], signature: bytes[1], publicKey: bytes[2])
    }

    /// One line: position, hash, signature and public key.
    package var text: String {
        ([Self.mark, String(position.rawValue)] + [hash, signature, publicKey].map(\.hexadecimal)).joined(separator: " ")
    }

    /// Whether the signature is that of the key.
    package var isSigned: Bool {
        Sodium.isValid(signature: signature, of: Self.message(hash, at: position), by: publicKey)
    }

    static func message(_ hash: [UInt8], at position: Position) -> [UInt8] {
        Array(mark.utf8) + hash + bigEndian(position.rawValue)
    }

    /// The bytes that hexadecimal digits stand for; nil where they are none.
    private static func bytes(_ digits: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = digits.utf8[...]
        while let high = rest.popFirst() {
            guard let low = rest.popFirst(), let byte = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}

/// The key that seals are signed with, and redactions.
package struct SealKey: Sendable {
    private let key: SigningKey

    /// - Parameter secret: the server's secret; all nodes have the same.
    package init(secret: [UInt8]) { key = SigningKey(seed: Sodium.blake2b(secret, personalization: "apus-seal-key")) }

    /// What seals are checked with.
    package var publicKey: [UInt8] { key.publicKey }

    func sign(_ message: [UInt8]) -> [UInt8] { key.sign(message) }

    func isValid(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        Sodium.isValid(signature: signature, of: message, by: publicKey)
    }

    func seal(_ hash: [UInt8], at position: Position) -> Seal {
        Seal(position: position, hash: hash, signature: sign(Seal.message(hash, at: position)), publicKey: publicKey)
    }
}

/// A stretch of the log with the hash of each of its events.
struct Stretch {
    static let hashBytes = 32

    let first: Position
    let events: [UInt8]

    var count: Int { events.count / Self.hashBytes }
    var last: Position { first + (count - 1) }

    func hash(at index: Int) -> ArraySlice<UInt8> { events[index * Self.hashBytes..<(index + 1) * Self.hashBytes] }

    /// The hash of a seal that covers the stretch and everything before it.
    func hash(after previous: [UInt8]) -> [UInt8] {
        Sodium.blake2b(
            previous + bigEndian(first.rawValue) + bigEndian(last.rawValue) + events, personalization: "apus-seal")
    }
}

/// An event as it is stored, whether or not it can be read.
struct StoredEvent {
    let position: Position
    let epoch: Int64
    let stream: String
    let previous: Position
    /// Over all columns.
    let hash: [UInt8]

    /// - Parameter bytes: a buffer, so that there is one for all rows.
    private init(_ row: any Row, _ bytes: inout [UInt8]) {
        position = Position(rawValue: row.integer(0))
        epoch = row.integer(1)
        stream = row.text(2)
        previous = Position(rawValue: row.integer(3))
        bytes.removeAll(keepingCapacity: true)
        bytes.append(bigEndian: position.rawValue)
        bytes.append(bigEndian: epoch)
        bytes.append(column: stream.utf8)
        bytes.append(column: previous.rawValue)
        bytes.append(column: row.text(4).utf8)
        bytes.append(column: row.integer(5))
        bytes.append(column: row.integerOrNil(6))
        bytes.append(column: row.textOrNil(7)?.utf8)
        bytes.append(column: row.blobOrNil(8))
        bytes.append(column: row.integer(9))
        bytes.append(column: row.blob(10))
        hash = Sodium.blake2b(bytes, personalization: "apus-event")
    }

    static func after(_ position: Position, limit: Int, _ connection: any Connection) throws -> [StoredEvent] {
        var bytes: [UInt8] = []
        return try connection.query(select, [.integer(position.rawValue), .integer(Int64(limit))]) { StoredEvent($0, &bytes) }
    }

    static func at(_ positions: [Position], _ connection: any Connection) throws -> [StoredEvent] {
        guard !positions.isEmpty else { return [] }
        var bytes: [UInt8] = []
        return try connection.query(selectPositions, [.integers(positions.map(\.rawValue))]) { StoredEvent($0, &bytes) }
    }

    private static let columns = """
        SELECT position, epoch, stream, previous, type, version, actor, session, origin, occurred_at, payload
        FROM   apus_event
        """

    private static let select = Statement("\(columns) WHERE position > $1 ORDER BY position LIMIT $2")
    private static let selectPositions = Statement("\(columns) WHERE position IN [$1 bigint] ORDER BY position")
}

extension [UInt8] {
    /// Eight bytes.
    fileprivate mutating func append(bigEndian number: Int64) {
        for shift in stride(from: 56, through: 0, by: -8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    /// A column's bytes behind their count, and a null with a count that nothing has: no two rows give the same bytes.
    fileprivate mutating func append(column: (some Collection<UInt8>)?) {
        append(bigEndian: column.map { Int64($0.count) } ?? -1)
        if let column { append(contentsOf: column) }
    }

    fileprivate mutating func append(column number: Int64?) {
        append(bigEndian: number == nil ? -1 : 8)
        if let number { append(bigEndian: number) }
    }
}

/// Eight bytes.
func bigEndian(_ number: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: number)
    return bytes
}
