import Domain

@testable import Bulletin
@testable import EventLog
@testable import S3

extension Subject {
    /// What the server has written itself, or another one, and reads again.
    static let kept = [
        // The first byte says the type, the second the version.
        Subject("events") { bytes in
            guard bytes.count >= 2 else { return }
            let type = EventType.allCases[Int(bytes[0]) % EventType.allCases.count]
            let version = Int64(bytes[1] % 4)
            let event: Event
            do throws(LogFault) {
                event = try EventCodec.decode(type: type.rawValue, version: version, plain: Array(bytes.dropFirst(2)), at: somewhere)
            } catch {
                let isTold = error == .unreadable(somewhere) || error == .unknownEvent(type: type.rawValue, version: version)
                return try require(isTold, "what is no event is told as that")
            }
            try require(event.type == type, "an event is of the type that it was written as")
            let written = EventCodec.encode(event)
            let again = try EventCodec.decode(type: type.rawValue, version: type.payload.typeVersion, plain: written, at: somewhere)
            try require(again == event, "an event that is written is the same when it is read")
            try require(EventCodec.encode(again) == written, "an event is always written in the same bytes")
        },
        Subject("stokens") { bytes in
            let text = bytes.text
            if let head = sealer.open(text) { try require(sealer.stoken(head).isExactly(text), "a position has one stoken") }
            if let decoded = Base64URL.decode(text) { try require(Base64URL.encode(decoded).isExactly(text), "bytes have one text") }
            let number = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let head = LogHead(position: Position(rawValue: Int64(bitPattern: number)), epoch: Int64(bytes.count))
            try require(sealer.open(sealer.stoken(head)) == head, "a stoken says its position and epoch")
        },
        Subject("stream-names") { bytes in
            guard let stream = StreamID(StreamName(bytes.text)) else { return }
            try require(StreamID(stream.name) == stream, "the name of a stream is that stream's")
        },
        Subject("notices") { bytes in
            let message = BulletinMessage(bytes)
            let again = BulletinMessage(message.bytes)
            try require(again.sender.isExactly(message.sender), "who posts is who is read")
            try require(again.notices == message.notices, "what is posted is what is read")
        },
        Subject("lists") { bytes in _ = S3List(bytes.text, prefix: "p/") },
    ]

    private static let somewhere = Position(rawValue: 77)
    private static let sealer = StokenSealer(secret: Array(0..<32))
}
