internal import Domain
internal import MessagePack
internal import NIOCore

extension RecordsAdopted: EventPayload {
    static var typeVersion: Int64 { 1 }

    init(reading reader: PayloadReader, version: Int64) throws(PayloadReader.Failure) {
        guard let owner = StreamID(StreamName(try reader.text("owner"))) else { throw PayloadReader.Failure() }
        self.init(
            owner: owner, users: try reader.users("users"),
            records: try reader.list("records") { value throws(PayloadReader.Failure) in try AdoptedRecord(value) })
    }

    func write(to writer: inout PayloadWriter) {
        writer.text("owner", owner.name.rawValue)
        writer.users("users", users)
        writer.list("records", records) { $1.write(to: &$0) }
    }
}

extension AdoptedRecord {
    /// `[kind, id]` where the record is no more, else `[kind, id, {name: value}]`.
    fileprivate init(_ value: MessagePackValue) throws(PayloadReader.Failure) {
        guard case .array(let array) = value.kind else { throw PayloadReader.Failure() }
        let parts = Array(array)
        guard (2...3).contains(parts.count), let kind = Kind(rawValue: try parts[0].requireText()) else { throw PayloadReader.Failure() }
        self.init(kind: kind, id: try parts[1].requireNumber(), fields: parts.count == 3 ? try Self.fields(parts[2]) : nil)
    }

    private static func fields(_ value: MessagePackValue) throws(PayloadReader.Failure) -> [Field] {
        guard case .map(let map) = value.kind else { throw PayloadReader.Failure() }
        var fields: [Field] = []
        for entry in map {
            let name = try entry.key.requireText()
            switch entry.value.kind {
            case .int(let number): fields.append(Field(name, .number(number)))
            case .string(let text): fields.append(Field(name, .text(text)))
            case .bytes(let bytes): fields.append(Field(name, .bytes(Array(bytes.readableBytesView))))
            default: throw PayloadReader.Failure()
            }
        }
        return fields
    }

    fileprivate func write(to writer: inout MessagePackWriter) {
        writer.array(count: fields == nil ? 2 : 3)
        writer.string(kind.rawValue)
        writer.int(id)
        guard let fields else { return }
        writer.map(count: fields.count)
        for field in fields {
            writer.string(field.name)
            switch field.value {
            case .number(let number): writer.int(number)
            case .text(let text): writer.string(text)
            case .bytes(let bytes): writer.bytes(bytes)
            }
        }
    }
}
