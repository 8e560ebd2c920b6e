internal import Domain
internal import MessagePack
internal import NIOCore
internal import Sodium

/// How events stand in the log: a name, a version, and a payload in MessagePack sealed with the key of the stream.
///
/// A name and a version are never given another meaning. When an event's shape changes, its version grows and `read`
/// learns to make today's event from each older one; the golden files of `Tests/EventLogTests` hold every version ever
/// written.
enum EventCodec {
    struct Encoded {
        let type: String
        let version: Int64
        let payload: [UInt8]
    }

    /// - Parameter key: of the event's stream.
    /// - Throws: ``LogFault/unreadable(_:)`` when it is no key.
    static func encode(_ event: Event, key: [UInt8], at position: Position) throws(LogFault) -> Encoded {
        guard key.count == SecretBox.keyBytes else { throw .unreadable(position) }
        return Encoded(type: event.type.rawValue, version: event.type.payload.typeVersion, payload: SecretBox(key: key).seal(encode(event)))
    }

    /// - Throws: ``LogFault``; an event is never half read.
    static func decode(
        type name: String, version: Int64, payload: [UInt8], key: [UInt8], at position: Position
    ) throws(LogFault) -> Event {
        guard key.count == SecretBox.keyBytes, let plain = SecretBox(key: key).open(payload) else { throw .unreadable(position) }
        return try decode(type: name, version: version, plain: plain, at: position)
    }

    static func encode(_ event: Event) -> [UInt8] {
        var writer = PayloadWriter()
        event.payload.write(to: &writer)
        return writer.finish()
    }

    static func decode(type name: String, version: Int64, plain: [UInt8], at position: Position) throws(LogFault) -> Event {
        guard let type = EventType(rawValue: name)?.payload, (1...type.typeVersion).contains(version) else {
            throw .unknownEvent(type: name, version: version)
        }
        do {
            return try type.init(reading: PayloadReader(plain), version: version).event
        } catch { throw .unreadable(position) }
    }
}

/// An event in the form of the log.
protocol EventPayload: EventFacts {
    /// The version that is written; all from 1 up to it can be read.
    static var typeVersion: Int64 { get }
    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure)
    func write(to writer: inout PayloadWriter)
}

extension EventType {
    /// How events of the type are written and read.
    var payload: any EventPayload.Type {
        switch self {
        case .userCreated: UserCreated.self
        case .userInitialized: UserInitialized.self
        case .passwordChanged: PasswordChanged.self
        case .userActivityChanged: UserActivityChanged.self
        case .userReset: UserReset.self
        case .userErased: UserErased.self
        case .collectionCreated: CollectionCreated.self
        case .itemCreated: ItemCreated.self
        case .itemRevised: ItemRevised.self
        case .itemRestored: ItemRestored.self
        case .chunkStored: ChunkStored.self
        case .revisionsPruned: RevisionsPruned.self
        case .memberJoined: MemberJoined.self
        case .memberLevelChanged: MemberLevelChanged.self
        case .memberRemoved: MemberRemoved.self
        case .invitationSent: InvitationSent.self
        case .invitationWithdrawn: InvitationWithdrawn.self
        case .recordsAdopted: RecordsAdopted.self
        }
    }
}

extension Event {
    var payload: any EventPayload {
        switch self {
        case .userCreated(let payload): payload
        case .userInitialized(let payload): payload
        case .passwordChanged(let payload): payload
        case .userActivityChanged(let payload): payload
        case .userReset(let payload): payload
        case .userErased(let payload): payload
        case .collectionCreated(let payload): payload
        case .itemCreated(let payload): payload
        case .itemRevised(let payload): payload
        case .itemRestored(let payload): payload
        case .chunkStored(let payload): payload
        case .revisionsPruned(let payload): payload
        case .memberJoined(let payload): payload
        case .memberLevelChanged(let payload): payload
        case .memberRemoved(let payload): payload
        case .invitationSent(let payload): payload
        case .invitationWithdrawn(let payload): payload
        case .recordsAdopted(let payload): payload
        }
    }
}

/// Writes a payload: a map of named fields, in the order in which they are given.
struct PayloadWriter {
    private var fields = MessagePackWriter()
    private var count = 0

    mutating func field(_ name: String, _ write: (inout MessagePackWriter) -> Void) {
        count += 1
        fields.string(name)
        write(&fields)
    }

    mutating func text(_ name: String, _ text: String) { field(name) { $0.string(text) } }
    mutating func bytes(_ name: String, _ bytes: [UInt8]) { field(name) { $0.bytes(bytes) } }
    mutating func number(_ name: String, _ number: Int64) { field(name) { $0.int(number) } }
    mutating func flag(_ name: String, _ flag: Bool) { field(name) { $0.bool(flag) } }

    mutating func list<T>(_ name: String, _ elements: [T], _ write: (inout MessagePackWriter, T) -> Void) {
        field(name) { writer in
            writer.array(count: elements.count)
            for element in elements { write(&writer, element) }
        }
    }

    mutating func map(_ name: String, _ write: (inout PayloadWriter) -> Void) {
        var inner = PayloadWriter()
        write(&inner)
        count += 1
        fields.string(name)
        fields.map(count: inner.count)
        fields.buffer.writeImmutableBuffer(inner.fields.buffer)
    }

    func finish() -> [UInt8] {
        var writer = MessagePackWriter(capacity: fields.buffer.readableBytes + 3)
        writer.map(count: count)
        writer.buffer.writeImmutableBuffer(fields.buffer)
        return Array(writer.buffer.readableBytesView)
    }
}

/// Reads a payload's fields by their names.
struct PayloadReader {
    /// The payload is not of the shape that its type and version have.
    struct Failure: Error {}

    private let map: MessagePackMap

    init(_ bytes: [UInt8]) throws(Failure) {
        do {
            guard case .map(let map) = try MessagePackValue(validating: ByteBuffer(bytes: bytes)).kind else { throw Failure() }
            self.map = map
        } catch { throw Failure() }
    }

    init(_ value: MessagePackValue) throws(Failure) {
        guard case .map(let map) = value.kind else { throw Failure() }
        self.map = map
    }

    func optional(_ name: String) -> MessagePackValue? { map[name] }

    func field(_ name: String) throws(Failure) -> MessagePackValue {
        guard let value = map[name] else { throw Failure() }
        return value
    }

    func text(_ name: String) throws(Failure) -> String { try field(name).requireText() }
    func bytes(_ name: String) throws(Failure) -> [UInt8] { try field(name).requireBytes() }
    func number(_ name: String) throws(Failure) -> Int64 { try field(name).requireNumber() }

    func flag(_ name: String) throws(Failure) -> Bool {
        guard case .bool(let flag) = try field(name).kind else { throw Failure() }
        return flag
    }

    func list<T>(_ name: String, _ read: (MessagePackValue) throws(Failure) -> T) throws(Failure) -> [T] {
        guard case .array(let array) = try field(name).kind else { throw Failure() }
        var elements: [T] = []
        for element in array { elements.append(try read(element)) }
        return elements
    }
}

extension MessagePackValue {
    func requireText() throws(PayloadReader.Failure) -> String {
        guard case .string(let text) = kind else { throw PayloadReader.Failure() }
        return text
    }

    func requireBytes() throws(PayloadReader.Failure) -> [UInt8] {
        guard case .bytes(let bytes) = kind else { throw PayloadReader.Failure() }
        return Array(bytes.readableBytesView)
    }

    func requireNumber() throws(PayloadReader.Failure) -> Int64 {
        guard case .int(let number) = kind else { throw PayloadReader.Failure() }
        return number
    }
}
