internal import Domain
internal import EventLog
internal import Foundation
internal import ReadModel

/// The forms in which what has happened is handed out as a file.
enum AuditFile: Sendable {
    case csv
    case jsonLines

    var mediaType: String {
        switch self {
        case .csv: "text/csv; charset=utf-8"
        case .jsonLines: "application/x-ndjson"
        }
    }

    var fileName: String {
        switch self {
        case .csv: "activity.csv"
        case .jsonLines: "activity.jsonl"
        }
    }

    private static let names = [
        "position", "time", "action", "user", "session", "device", "address", "collection", "item", "revision", "chunk", "invitation",
        "member", "level",
    ]

    /// What stands before the lines.
    var head: String { self == .csv ? Self.names.joined(separator: ",") + "\r\n" : "" }

    func line(_ entry: AuditEntry) -> String {
        let values: [String?] = [
            "\(entry.head.position.rawValue)", entry.time.text.replacing(" ", with: "T") + "Z", entry.action.rawValue, entry.username,
            entry.session, entry.device, entry.address, entry.collection?.rawValue, entry.item?.rawValue, entry.revision?.rawValue,
            entry.chunk?.rawValue, entry.invitation?.rawValue, entry.member, entry.level?.shown,
        ]
        switch self {
        case .csv: return values.map { Self.cell($0 ?? "") }.joined(separator: ",") + "\r\n"
        case .jsonLines:
            let fields = zip(Self.names, values).compactMap { name, value in value.map { "\"\(name)\":\(Self.json($0))" } }
            return "{" + fields.joined(separator: ",") + "}\n"
        }
    }

    /// A cell that no spreadsheet takes for a formula: devices call themselves what they like.
    private static func cell(_ text: String) -> String {
        let isFormula = text.unicodeScalars.first.map { "=+-@\t\r".unicodeScalars.contains($0) } ?? false
        let safe = isFormula ? "'" + text : text
        return safe.unicodeScalars.contains { ",\"\r\n".unicodeScalars.contains($0) }
            ? "\"" + safe.replacing("\"", with: "\"\"") + "\"" : safe
    }

    private static func json(_ text: String) -> String {
        var written = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": written += "\\\""
            case "\\": written += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                written += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: written.unicodeScalars.append(scalar)
            }
        }
        return written + "\""
    }
}
