internal import Domain
internal import Logging
internal import Server

/// Makes a line of each message of the log.
struct LineLogHandler: LogHandler {
    let format: LogFormat
    let label: String
    let sink: LogSink
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let given = event.metadata { fields.merge(given) { $1 } }
        sink.take(format.line(event.level, "\(event.message)", fields))
    }
}

extension LogFormat {
    /// A line of the log, without its end.
    func line(_ level: Logger.Level, _ message: String, _ fields: Logger.Metadata) -> String {
        let time = Node.clock().text.replacing(" ", with: "T", maxReplacements: 1) + "Z"
        let sorted = fields.sorted { $0.key < $1.key }
        switch self {
        case .text:
            return ([time, "\(level)", message] + sorted.map { "\($0.key)=\(Self.quoted("\($0.value)"))" }).joined(separator: " ")
        case .json:
            let fixed: [(String, Logger.MetadataValue)] = [
                ("time", .string(time)), ("level", .string("\(level)")), ("message", .string(message)),
            ]
            return "{" + (fixed + sorted.map { ($0.key, $0.value) }).map { "\(Self.json($0.0)):\(Self.json($0.1))" }.joined(separator: ",")
                + "}"
        }
    }

    /// A value with blanks, quotes or line ends would make a line ambiguous.
    private static func quoted(_ text: String) -> String {
        text.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && $0 != "\"" && $0.value >= 32 } && !text.isEmpty ? text : json(text)
    }

    private static func json(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): json(text)
        case .stringConvertible(let value):
            switch value {
            case let truth as Bool: truth ? "true" : "false"
            case let number as any BinaryInteger: "\(number)"
            case let number as Double where number.isFinite: "\(number)"
            default: json("\(value)")
            }
        case .array(let values): "[" + values.map(json).joined(separator: ",") + "]"
        case .dictionary(let fields):
            "{" + fields.sorted { $0.key < $1.key }.map { "\(json($0.key)):\(json($0.value))" }.joined(separator: ",") + "}"
        }
    }

    private static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case "\n": result += "\\n"
            case "\0"..<" ", "\u{7F}": result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension Logger {
    /// Of a command that ends by itself: its output is its answer, so only what goes wrong is logged.
    static var ofCommand: Logger {
        var logger = Logger(label: "apus")
        logger.logLevel = .warning
        return logger
    }
}
