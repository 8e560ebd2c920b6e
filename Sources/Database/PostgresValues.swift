internal import CPostgres

/// An answer of the server, freed with its last reference.
///
/// Safe: the pointer is checked, freed once, and lives as long as the object. What it points to is only read once it is here, which
/// libpq lets any thread do; so it may go from one to another.
@safe final class PostgresResult: @unchecked Sendable {
    let pointer: OpaquePointer

    /// - Throws: ``DatabaseFault`` by the answer's SQLSTATE; no text of the server, which may hold values.
    init(_ pointer: OpaquePointer?) throws(DatabaseFault) {
        guard let pointer = unsafe pointer else { throw DatabaseFault(.unavailable, "PostgreSQL: no answer", isAway: true) }
        unsafe self.pointer = pointer
        let status = unsafe PQresultStatus(pointer)
        guard ![PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(status) else { return }
        let state = unsafe PQresultErrorField(pointer, Self.sqlState).map { unsafe String(cString: $0) } ?? "no connection"
        // Of what was in the way only its name is told.
        let name = unsafe PQresultErrorField(pointer, Self.constraintName).map { unsafe " (\(String(cString: $0)))" } ?? ""
        guard state.hasPrefix("AP"), let message = unsafe PQresultErrorField(pointer, Self.message) else {
            let words = Self.words[state].map { "\($0) (\(state))" } ?? state
            throw DatabaseFault(
                Self.kind(of: state), "PostgreSQL: \(words)\(name)", canOnlyBeRead: state == "25006", isAway: Self.ends.contains(state))
        }
        throw DatabaseFault(.raised(code: state, message: unsafe String(cString: message)), "PostgreSQL: \(state)")
    }

    deinit { unsafe PQclear(pointer) }

    /// How many rows it holds.
    var count: Int { Int(unsafe PQntuples(pointer)) }

    /// Its rows, each good as long as it is held.
    var rows: [PostgresRow] { (0..<count).map { PostgresRow(result: self, row: $0) } }

    /// How many rows the statement changed.
    var changed: Int {
        guard let count = unsafe PQcmdTuples(pointer) else { return 0 }
        return unsafe Int(String(cString: count)) ?? 0
    }

    /// `PG_DIAG_SQLSTATE`, `PG_DIAG_CONSTRAINT_NAME` and `PG_DIAG_MESSAGE_PRIMARY`, macros that are not imported.
    private static let sqlState = Int32(UInt8(ascii: "C"))
    private static let constraintName = Int32(UInt8(ascii: "n"))
    private static let message = Int32(UInt8(ascii: "M"))

    /// What is said of a server that ends, or begins.
    private static let ends: Set<String> = ["no connection", "57P01", "57P02", "57P03"]

    /// What an operator can do something about.
    private static let words = [
        "3F000": "no schema of search_path is there",
        "25006": "the database can only be read; is it a standby?", "42501": "the user does not own the tables",
        "53100": "the disk is full", "53300": "there are too many connections",
        "55P03": "another program uses the tables; stop it, or try again", "57014": "it took too long",
    ]

    private static func kind(of state: String) -> DatabaseFault.Kind {
        switch state.prefix(2) {
        case "23": .constraint
        case "40": .conflict
        case "22", "42", "XX": .corrupt
        default: .unavailable
        }
    }
}

struct PostgresRow: Row {
    let result: PostgresResult
    let row: Int

    func integer(_ column: Int) -> Int64 {
        guard let number = integerOrNil(column) else { preconditionFailure("column \(column) is null") }
        return number
    }

    func integerOrNil(_ column: Int) -> Int64? {
        guard let bytes = blobOrNil(column) else { return nil }
        precondition(Self.numbers.contains(unsafe PQftype(result.pointer, Int32(column))), "column \(column) holds no number")
        // Big-endian, of 1 (boolean), 2, 4 or 8 bytes.
        let isNegative = bytes.count > 1 && (bytes.first ?? 0) > 0x7f
        return bytes.reduce(isNegative ? -1 : 0) { $0 << 8 | Int64($1) }
    }

    /// The types whose values are whole numbers: `bool`, `int8`, `int2`, `int4`.
    private static let numbers: Set<Oid> = [16, 20, 21, 23]

    func text(_ column: Int) -> String {
        guard let text = textOrNil(column) else { preconditionFailure("column \(column) is null") }
        return text
    }

    func textOrNil(_ column: Int) -> String? { blobOrNil(column).map { String(decoding: $0, as: UTF8.self) } }

    func blob(_ column: Int) -> [UInt8] {
        guard let bytes = blobOrNil(column) else { preconditionFailure("column \(column) is null") }
        return bytes
    }

    func blobOrNil(_ column: Int) -> [UInt8]? {
        guard !isNull(column), let value = unsafe PQgetvalue(result.pointer, Int32(row), Int32(column)) else { return nil }
        let count = Int(unsafe PQgetlength(result.pointer, Int32(row), Int32(column)))
        return unsafe [UInt8](UnsafeRawBufferPointer(start: value, count: count))
    }

    func isNull(_ column: Int) -> Bool { unsafe PQgetisnull(result.pointer, Int32(row), Int32(column)) != 0 }
}

extension Value {
    /// What goes to the server: bytes as they are, everything else as text, which takes on the type of its place.
    ///
    /// - Throws: ``DatabaseFault`` when it is longer than can be said to the server.
    func parameter() throws(DatabaseFault) -> (bytes: [UInt8]?, isBinary: Bool) {
        switch self {
        case .null: (nil, false)
        case .integer(let number): (Array(String(number).utf8), false)
        case .text(let text): (Array(text.withoutNUL.utf8), false)
        case .blob(let bytes): (bytes, true)
        case .texts(let texts): (Self.array(texts.map { $0.map(Self.quoted) }), false)
        case .integers(let numbers): (Self.array(numbers.map { $0.map { String($0) } }), false)
        case .blobs(let blobs): (try Self.array(blobs), true)
        }
    }

    private static func array(_ elements: [String?]) -> [UInt8] {
        Array(("{" + elements.map { $0 ?? "NULL" }.joined(separator: ",") + "}").utf8)
    }

    /// `bytea[]` in PostgreSQL's binary form: dimensions, whether there are nulls, the type of the elements, length and
    /// lower bound, then each element behind its length.
    private static func array(_ elements: [[UInt8]?]) throws(DatabaseFault) -> [UInt8] {
        let byteaType: Int32 = 17
        var bytes = words([elements.isEmpty ? 0 : 1, elements.contains { $0 == nil } ? 1 : 0, byteaType])
        guard !elements.isEmpty else { return bytes }
        bytes += words([try ValueLength.checked(elements.count), 1])
        for element in elements {
            let length = if let element { try ValueLength.checked(element.count) } else { Int32(-1) }
            bytes += words([length])
            bytes += element ?? []
        }
        return bytes
    }

    private static func words(_ words: [Int32]) -> [UInt8] {
        words.flatMap { word in stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> Int32($0)) } }
    }

    /// A text as an element of a list.
    private static func quoted(_ text: String) -> String {
        let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
        guard text.utf8.contains(where: { $0 == quote || $0 == backslash || $0 == 0 }) else { return "\"\(text)\"" }
        return "\"" + text.withoutNUL.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
