import Domain
import Sodium
import TestSupport
import Testing

@testable import EventLog

private let somewhere = Position(rawValue: 77)

@Suite("Events in the log") struct EventCodecTests {
    @Test("are read from the bytes of every version ever written", arguments: Golden.all)
    func reads(golden: Golden) throws {
        #expect(try EventCodec.decode(type: golden.type, version: golden.version, plain: golden.bytes, at: somewhere) == golden.event)
    }

    @Test("are written in the bytes of their newest version", arguments: Golden.all)
    func writes(golden: Golden) {
        #expect(golden.event.type.rawValue == golden.type)
        if golden.isNewest { #expect(EventCodec.encode(golden.event) == golden.bytes) }
    }

    @Test("have golden bytes for each type and version") func complete() {
        let written = EventType.allCases.flatMap { type in (1...type.payload.typeVersion).map { "\(type.rawValue) \($0)" } }
        #expect(Set(written) == Set(Golden.all.map { "\($0.type) \($0.version)" }))
    }

    @Test("say their own types, and whether they record redactions") func facts() {
        for type in EventType.allCases { #expect(type.payload.type == type) }
        for event in Golden.all.map(\.event) {
            #expect((event.redaction != nil) == EventType.recordingRedactions.contains(event.type), "\(event.type)")
        }
    }

    @Test("of an unknown type or version are not read", arguments: [("ItemErased", 1), ("ItemRevised", 2), ("ItemRevised", 0), ("", 1)])
    func unknown(type: String, version: Int64) throws {
        let golden = try #require(Golden.all.first { $0.type == "ItemRevised" })
        #expect(throws: LogFault.unknownEvent(type: type, version: version)) {
            try EventCodec.decode(type: type, version: version, plain: golden.bytes, at: somewhere)
        }
    }

    @Test("that end too early or too late are not read", arguments: Golden.all)
    func truncated(golden: Golden) {
        for length in 0..<golden.bytes.count {
            #expect(throws: LogFault.unreadable(somewhere)) {
                try EventCodec.decode(type: golden.type, version: 1, plain: Array(golden.bytes.prefix(length)), at: somewhere)
            }
        }
        #expect(throws: LogFault.unreadable(somewhere)) {
            try EventCodec.decode(type: golden.type, version: 1, plain: golden.bytes + [0xc0], at: somewhere)
        }
    }

    @Test("with flipped bits give an event or a fault, and each payload only its own type", arguments: Golden.all)
    func flipped(golden: Golden) {
        var generator = FixedGenerator(state: 5)
        for _ in 0..<500 {
            var bytes = golden.bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
            let event = Result { () throws(LogFault) in
                try EventCodec.decode(type: golden.type, version: 1, plain: bytes, at: somewhere)
            }
            switch event {
            case .success(let event): #expect(event.type.rawValue == golden.type)
            case .failure(let fault): #expect(fault == .unreadable(somewhere))
            }
        }
    }

    @Test("that lack a field, or have one of another kind, are not read") func fields() {
        var writer = PayloadWriter()
        writer.text("collection", "notes")
        writer.number("user", 1)
        let lacking = writer.finish()
        writer.number("level", 3)
        let unknownLevel = writer.finish()
        for plain in [lacking, unknownLevel, [0x90], [0x80], [0xc0]] {
            #expect(throws: LogFault.unreadable(somewhere)) {
                try EventCodec.decode(type: "MemberLevelChanged", version: 1, plain: plain, at: somewhere)
            }
        }
    }
}

@Suite("Sealed payloads") struct SealedPayloadTests {
    private let key = [UInt8](repeating: 1, count: SecretBox.keyBytes)

    @Test("are read with the key of their stream and with no other", arguments: Golden.all.filter(\.isNewest))
    func sealed(golden: Golden) throws {
        let sealed = try EventCodec.encode(golden.event, key: key, at: Position(rawValue: 1))
        #expect([sealed.type, "\(sealed.version)"] == [golden.type, "\(golden.version)"])
        let decode = { (payload: [UInt8], key: [UInt8]) throws(LogFault) in
            try EventCodec.decode(type: sealed.type, version: sealed.version, payload: payload, key: key, at: somewhere)
        }
        #expect(try decode(sealed.payload, key) == golden.event)
        #expect(throws: LogFault.unreadable(somewhere)) {
            try decode(sealed.payload, [UInt8](repeating: 2, count: SecretBox.keyBytes))
        }
    }

    @Test("that were changed anywhere are not read") func changed() throws {
        let golden = try #require(Golden.all.first { $0.type == "MemberLevelChanged" })
        let sealed = try EventCodec.encode(golden.event, key: key, at: Position(rawValue: 1))
        for bit in 0..<sealed.payload.count * 8 {
            var payload = sealed.payload
            payload[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: LogFault.unreadable(somewhere)) {
                try EventCodec.decode(type: sealed.type, version: 1, payload: payload, key: key, at: somewhere)
            }
        }
        for length in 0..<sealed.payload.count {
            #expect(throws: LogFault.unreadable(somewhere)) {
                try EventCodec.decode(
                    type: sealed.type, version: 1, payload: Array(sealed.payload.prefix(length)), key: key, at: somewhere)
            }
        }
    }
}

extension Golden {
    /// Whether events of its type are written so.
    fileprivate var isNewest: Bool { version == event.type.payload.typeVersion }
}
