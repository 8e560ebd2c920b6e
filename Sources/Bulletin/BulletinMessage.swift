internal import Domain

/// Notices as they go over a channel: a line that says who posts, then a line for each notice, of words between blanks.
///
///     from 5gDk…
///     appended 17
///     projected 17 COLLECTION COLLECTION
///     user 5
///     session 3f2a…
///
/// What is not understood says nothing: a line of a version that knows other notices, or what somebody else writes there.
struct BulletinMessage {
    let sender: String
    let notices: [Notice]

    init(sender: String, notices: [Notice]) {
        self.sender = sender
        self.notices = notices
    }

    var bytes: [UInt8] { Array((["from \(sender)"] + notices.map(\.line)).joined(separator: "\n").utf8) }

    init(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).parts(separatedBy: "\n")
        let first = lines.first?.parts(separatedBy: " ") ?? []
        sender = first.count == 2 && first[0].isExactly("from") ? first[1] : ""
        notices = lines.compactMap { Notice(line: $0) }
    }
}

extension Notice {
    fileprivate var line: String {
        switch self {
        case .appended(let position): "appended \(position.rawValue)"
        case .projected(let position, let collections):
            (["projected", "\(position.rawValue)"] + collections.map { Word.escaped($0.rawValue) }).joined(separator: " ")
        case .userChanged(let user): "user \(user.rawValue)"
        case .sessionEnded(let session): "session \(Word.escaped(session))"
        }
    }

    /// Nil where the line is no notice.
    fileprivate init?(line: String) {
        let words = line.parts(separatedBy: " ")
        guard words.count >= 2 else { return nil }
        let number = Int64(words[1])
        switch (words[0], words.count) {
        case ("appended", 2):
            guard let number else { return nil }
            self = .appended(upTo: Position(rawValue: number))
        case ("projected", _):
            guard let number else { return nil }
            self = .projected(upTo: Position(rawValue: number), collections: words.dropFirst(2).map { CollectionUID(Word.read($0)) })
        case ("user", 2):
            guard let number else { return nil }
            self = .userChanged(UserID(rawValue: number))
        case ("session", 2): self = .sessionEnded(Word.read(words[1]))
        default: return nil
        }
    }
}

/// Texts without blanks and ends of lines: in the uids of an adopted database there may be any.
private enum Word {
    static func escaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%")] + (byte < 16 ? "0" : "").utf8 + String(byte, radix: 16).utf8
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func read(_ word: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(word.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
