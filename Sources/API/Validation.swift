internal import Domain
internal import MessagePack
internal import NIOCore

/// One thing that is wrong with a request, in the words of pydantic 2, whose answers clients have seen (`*-validation`).
struct ValidationFault: Error, Sendable {
    /// A step on the way to the value.
    enum Step: Sendable {
        case name(String)
        case index(Int)
    }

    /// More about the rule, told under `ctx`.
    enum Context: Sendable {
        case expected(String)
        case minimum(Int64)
        case tuple(actual: Int)
        case list(maximum: Int, actual: Int)
        case json(String)
    }

    /// The longest value that is sent back; of longer ones the place must do. One may be sent back in each of many faults.
    private static let echoLimitBytes = 4 << 10

    let type: String
    let location: [Step]
    let message: String
    /// What stands there; nil is told as null.
    var input: MessagePackValue?
    var context: Context?

    func write(to writer: inout MessagePackWriter) {
        writer.map(count: context == nil ? 4 : 5)
        writer.pair("type", type)
        writer.key("loc")
        writer.array(count: location.count)
        for step in location {
            switch step {
            case .name(let name): writer.string(name)
            case .index(let index): writer.int(index)
            }
        }
        writer.pair("msg", message)
        writer.key("input")
        if let input, input.encoded.readableBytes <= Self.echoLimitBytes { writer.canonical(input) } else { writer.null() }
        guard let context else { return }
        writer.key("ctx")
        write(context, to: &writer)
    }

    private func write(_ context: Context, to writer: inout MessagePackWriter) {
        switch context {
        case .expected(let expected):
            writer.map(count: 1)
            writer.pair("expected", expected)
        case .minimum(let minimum):
            writer.map(count: 1)
            writer.pair("ge", minimum)
        case .json(let error):
            writer.map(count: 1)
            writer.pair("error", error)
        case .tuple(let actual):
            writer.map(count: 3)
            writer.pair("field_type", "Tuple")
            writer.pair("max_length", 2)
            writer.pair("actual_length", Int64(actual))
        case .list(let maximum, let actual):
            writer.map(count: 3)
            writer.pair("field_type", "List")
            writer.pair("max_length", Int64(maximum))
            writer.pair("actual_length", Int64(actual))
        }
    }
}

/// All that is wrong with a request.
struct ValidationFailure: Error, Sendable {
    let faults: [ValidationFault]
}

/// Reads values the way pydantic's lax mode does, and collects what is wrong. A reader answers nil when it has noted a
/// fault; a request is good when no fault was noted.
struct Validation {
    /// How many faults are told; a body in which everything is wrong must not be answered with a larger one.
    private static let faultLimit = 100

    /// For how many elements room is made before they are read.
    private static let reserved = 256

    private(set) var faults: [ValidationFault] = []
    private var isFull: Bool { faults.count >= Self.faultLimit }

    typealias Location = [ValidationFault.Step]

    mutating func note(
        _ type: String, _ location: Location, _ message: String, _ input: MessagePackValue?,
        _ context: ValidationFault.Context? = nil
    ) {
        guard !isFull else { return }
        faults.append(.init(type: type, location: location, message: message, input: input, context: context))
    }

    /// What was read, when nothing is wrong.
    func finish<T>(_ value: T?) throws(ValidationFailure) -> T {
        guard faults.isEmpty, let value else { throw ValidationFailure(faults: faults) }
        return value
    }

    /// Text; bytes are taken where they are UTF-8. What nobody writes is refused (``StreamSafe``).
    mutating func text(_ value: MessagePackValue, _ location: Location) -> String? {
        switch value.kind {
        case .string(let text):
            if StreamSafe.contains(text) { return text }
            note("string_type", location, "Input should be a valid string", value)
        case .bytes(let bytes):
            if let text = String(validating: bytes.readableBytesView, as: UTF8.self), StreamSafe.contains(text) { return text }
            note(
                "string_unicode", location, "Input should be a valid string, unable to parse raw data as a unicode string", value)
        default: note("string_type", location, "Input should be a valid string", value)
        }
        return nil
    }

    /// Bytes; text is taken as UTF-8.
    mutating func bytes(_ value: MessagePackValue, _ location: Location) -> [UInt8]? {
        switch value.kind {
        case .bytes(let bytes): return Array(bytes.readableBytesView)
        case .string(let text): return Array(text.utf8)
        default:
            note("bytes_type", location, "Input should be a valid bytes", value)
            return nil
        }
    }

    /// A whole number; texts, whole floats and truth values are taken (`collection-create-lenient`).
    mutating func integer(_ value: MessagePackValue, _ location: Location) -> Int? {
        switch value.kind {
        case .int(let number): return Int(number)
        case .uint: return .max
        case .bool(let flag): return flag ? 1 : 0
        case .double(let number):
            if !number.isFinite {
                note("finite_number", location, "Input should be a finite number", value)
            } else if number != number.rounded() {
                note(
                    "int_from_float", location, "Input should be a valid integer, got a number with a fractional part", value)
            } else if let whole = Int(exactly: number) {
                return whole
            } else {
                return noteTooLong(location, value)
            }
        case .string(let text): return integer(text: text, location, value)
        case .bytes(let bytes): return integer(text: String(buffer: bytes), location, value)
        case .null, .array, .map, .ext: note("int_type", location, "Input should be a valid integer", value)
        }
        return nil
    }

    /// A whole number as text.
    mutating func integer(text: String, _ location: Location, _ input: MessagePackValue?) -> Int? {
        guard text.utf8.count <= LaxText.longestNumeral else {
            return noteTooLong(location, input)
        }
        if let number = LaxText.integer(text) { return number }
        note(
            "int_parsing", location, "Input should be a valid integer, unable to parse string as an integer", input)
        return nil
    }

    /// Notes a number that Python's fixed integers cannot hold.
    mutating func noteTooLong<T>(_ location: Location, _ input: MessagePackValue?) -> T? {
        note("int_parsing_size", location, "Unable to parse input string as an integer, exceeded maximum size", input)
        return nil
    }

    /// A truth value; 0, 1 and pydantic's words are taken.
    mutating func flag(_ value: MessagePackValue, _ location: Location) -> Bool? {
        switch value.kind {
        case .bool(let flag): return flag
        case .int(0), .double(0): return false
        case .int(1), .double(1): return true
        case .string(let text): return flag(text: text, location, value)
        case .bytes(let bytes): return flag(text: String(buffer: bytes), location, value)
        case .int: return flag(text: "", location, value)
        case .double(let number) where number == number.rounded() && number.magnitude < 0x1p63: return flag(text: "", location, value)
        case .null, .uint, .double, .array, .map, .ext:
            note("bool_type", location, "Input should be a valid boolean", value)
            return nil
        }
    }

    /// A truth value as text.
    mutating func flag(text: String, _ location: Location, _ input: MessagePackValue?) -> Bool? {
        if let flag = LaxText.flag(text) { return flag }
        note("bool_parsing", location, "Input should be a valid boolean, unable to interpret input", input)
        return nil
    }

    /// A list, each element read by `element`.
    mutating func list<T>(
        _ value: MessagePackValue, _ location: Location, maximum: Int = .max,
        _ element: (inout Validation, MessagePackValue, Location) -> T?
    ) -> [T]? {
        guard case .array(let array) = value.kind else {
            note("list_type", location, "Input should be a valid list", value)
            return nil
        }
        guard array.count <= maximum else {
            note(
                "too_long", location, "List should have at most \(maximum) items after validation, not \(array.count)", value,
                .list(maximum: maximum, actual: array.count))
            return nil
        }
        var elements: [T] = []
        // A number from the wire reserves nothing much: an element takes more than the byte that it may be sent in.
        elements.reserveCapacity(min(array.count, Self.reserved))
        var isGood = true
        for (index, value) in array.enumerated() {
            if let element = element(&self, value, location + [.index(index)]) { elements.append(element) } else { isGood = false }
            if isFull { break }
        }
        return isGood ? elements : nil
    }

    /// The fields of a map.
    mutating func fields(_ value: MessagePackValue, _ location: Location) -> Fields? {
        guard case .map(let map) = value.kind else {
            note(
                "model_attributes_type", location,
                "Input should be a valid dictionary or object to extract fields from", value)
            return nil
        }
        return Fields(map: map, value: value, location: location)
    }
}

/// The named fields of a map.
struct Fields {
    let map: MessagePackMap
    let value: MessagePackValue
    let location: Validation.Location

    typealias Reader<T> = (inout Validation, MessagePackValue, Validation.Location) -> T?

    /// A field that must be there.
    func required<T>(_ name: String, _ validation: inout Validation, _ read: Reader<T>) -> T? {
        let place = location + [.name(name)]
        guard let field = map[name] else {
            validation.note("missing", place, "Field required", value)
            return nil
        }
        return read(&validation, field, place)
    }

    /// A field that may be missing or null; then the answer is `.some(nil)`. A bad one is nil.
    func optional<T>(_ name: String, _ validation: inout Validation, _ read: Reader<T>) -> T?? {
        guard let field = map[name] else { return .some(nil) }
        if case .null = field.kind { return .some(nil) }
        guard let value = read(&validation, field, location + [.name(name)]) else { return nil }
        return .some(value)
    }

    func text(_ name: String, _ validation: inout Validation) -> String? {
        required(name, &validation) { $0.text($1, $2) }
    }

    func bytes(_ name: String, _ validation: inout Validation) -> [UInt8]? {
        required(name, &validation) { $0.bytes($1, $2) }
    }

    func integer(_ name: String, _ validation: inout Validation) -> Int? {
        required(name, &validation) { $0.integer($1, $2) }
    }

    func flag(_ name: String, _ validation: inout Validation) -> Bool? {
        required(name, &validation) { $0.flag($1, $2) }
    }
}

/// Numbers and truth values as pydantic reads them from text.
enum LaxText {
    /// Python's bound on digits.
    static let longestNumeral = 4300
    private static let longestWord = 64
    private static let truths: Set<String> = ["1", "on", "t", "true", "y", "yes"]
    private static let falsehoods: Set<String> = ["0", "off", "f", "false", "n", "no"]

    static func flag(_ text: String) -> Bool? {
        guard text.utf8.count <= longestWord else { return nil }
        let word = text.lowercased()
        if truths.contains(word) { return true }
        return falsehoods.contains(word) ? false : nil
    }

    /// Blanks around, a sign, single underscores between digits and a fraction of zeros are allowed. What is too large
    /// for any column is answered with the largest number.
    static func integer(_ text: String) -> Int? {
        // What nearly all write.
        if (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ isDigit($0) }) { return Int(text) }
        var digits = text.trimmingPrefix(while: \.isWhitespace)
        while digits.last?.isWhitespace == true { digits.removeLast() }
        let isNegative = digits.first == "-"
        if isNegative || digits.first == "+" { digits.removeFirst() }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, isNumeral(whole) else { return nil }
        if parts.count == 2, parts[1].isEmpty || !parts[1].allSatisfy({ $0 == "0" }) { return nil }
        let numeral = whole.filter { $0 != "_" }
        guard let number = Int(numeral) else { return isNegative ? .min : .max }
        return isNegative ? -number : number
    }

    private static func isNumeral(_ text: Substring) -> Bool {
        guard let first = text.first, let last = text.last, first != "_", last != "_", !text.contains("__") else { return false }
        return text.utf8.allSatisfy { isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
