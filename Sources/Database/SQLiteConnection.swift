internal import Foundation
internal import GRDB
internal import GRDBSQLite

/// A connection to SQLite, inside a transaction of GRDB's.
struct SQLiteConnection: Connection {
    let database: GRDB.Database

    var dialect: Dialect { .sqlite }

    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int {
        do {
            try database.cachedStatement(sql: statement.sqlite).execute(arguments: StatementArguments(values.map { try $0.sqlite }))
            return database.changesCount
        } catch { throw DatabaseFault(error) }
    }

    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) { try execute(statement, values) }

    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) {
        guard !rows.isEmpty else { return }
        for row in rows { statement.check(row) }
        do {
            let each = try database.cachedStatement(sql: statement.each.sqlite)
            try each.execute(rows: rows)
        } catch { throw DatabaseFault(error) }
    }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        do {
            let cursor = try GRDB.Row.fetchCursor(
                database.cachedStatement(sql: statement.sqlite), arguments: StatementArguments(values.map { try $0.sqlite }))
            var results: [T] = []
            while let next = try cursor.next() { results.append(try row(SQLiteRow(row: next))) }
            return results
        } catch let error as DatabaseError { throw DatabaseFault(error) }
    }

    func run(script: String) throws(DatabaseFault) {
        do { try database.execute(sql: script) } catch { throw DatabaseFault(error) }
    }
}

extension GRDB.Statement {
    /// Executes the statement for each row of values, without what GRDB does around each: that takes as long as SQLite itself.
    ///
    /// Safe: the handle lives as long as the statement, and SQLite keeps copies of what it is given.
    fileprivate func execute(rows: [[Value]]) throws {
        let handle = unsafe sqliteStatement
        // Whoever had it before may have left it where it ended.
        unsafe sqlite3_reset(handle)
        defer {
            unsafe sqlite3_reset(handle)
            unsafe sqlite3_clear_bindings(handle)
        }
        for row in rows {
            for (index, value) in zip(CInt(1)..., row) { try check(bind(value, at: index)) }
            try check(unsafe sqlite3_step(handle))
            try check(unsafe sqlite3_reset(handle))
        }
    }

    private func bind(_ value: Value, at index: CInt) throws -> CInt {
        let handle = unsafe sqliteStatement
        // SQLITE_TRANSIENT, a macro that is not imported.
        let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null: return unsafe sqlite3_bind_null(handle, index)
        case .integer(let number): return unsafe sqlite3_bind_int64(handle, index, number)
        case .text(let text):
            var text = text.withoutNUL
            return text.withUTF8 { bytes in
                // An empty one may have no address, and without one it would be null.
                guard !bytes.isEmpty else { return unsafe sqlite3_bind_text(handle, index, "", 0, copied) }
                return unsafe bytes.withMemoryRebound(to: CChar.self) { bytes in
                    unsafe sqlite3_bind_text64(handle, index, bytes.baseAddress, UInt64(bytes.count), copied, UInt8(SQLITE_UTF8))
                }
            }
        case .blob(let bytes):
            guard !bytes.isEmpty else { return unsafe sqlite3_bind_zeroblob(handle, index, 0) }
            return unsafe sqlite3_bind_blob64(handle, index, bytes, UInt64(bytes.count), copied)
        case .texts, .integers, .blobs: preconditionFailure("a column of a row has one value")
        }
    }

    private func check(_ code: CInt) throws {
        guard code != SQLITE_OK, code != SQLITE_DONE else { return }
        throw DatabaseError(resultCode: ResultCode(rawValue: unsafe sqlite3_extended_errcode(sqlite3_db_handle(sqliteStatement))))
    }
}

private struct SQLiteRow: Row {
    let row: GRDB.Row

    func integer(_ column: Int) -> Int64 { row[column] }
    func integerOrNil(_ column: Int) -> Int64? { row[column] }
    func text(_ column: Int) -> String { row[column] }
    func textOrNil(_ column: Int) -> String? { row[column] }
    func blobOrNil(_ column: Int) -> [UInt8]? {
        do { return try row.withUnsafeData(atIndex: column) { $0.map { [UInt8]($0) } } } catch {
            preconditionFailure("column \(column) holds no bytes")
        }
    }

    func blob(_ column: Int) -> [UInt8] {
        guard let bytes = blobOrNil(column) else { preconditionFailure("column \(column) is null") }
        return bytes
    }
}

extension Value {
    fileprivate var sqlite: DatabaseValue {
        get throws {
            switch self {
            case .null: return .null
            case .integer(let number): return number.databaseValue
            case .text(let text): return try Self.bindable(text.withoutNUL).databaseValue
            case .blob(let bytes):
                _ = try ValueLength.checked(bytes.count)
                return Data(bytes).databaseValue
            // `json_each` takes lists apart again.
            case .texts(let texts): return try Self.list(texts) { text, list in text.append(toJSON: &list) }
            case .integers(let numbers): return try Self.list(numbers) { number, list in list += String(number) }
            case .blobs: preconditionFailure("SQLite has no lists of byte strings")
            }
        }
    }

    private static func list<Element>(_ elements: [Element?], _ append: (Element, inout String) -> Void) throws -> DatabaseValue {
        var list = "["
        for element in elements {
            if list.utf8.count > 1 { list += "," }
            if let element { append(element, &list) } else { list += "null" }
        }
        list += "]"
        return try bindable(list).databaseValue
    }

    /// The text, when SQLite can be told how long it is.
    private static func bindable(_ text: String) throws(DatabaseFault) -> String {
        _ = try ValueLength.checked(text.utf8.count)
        return text
    }
}

extension String {
    /// Appends the text to JSON, as a string. Written by hand: uids need nothing of what an encoder does for them.
    fileprivate func append(toJSON json: inout String) {
        json += "\""
        if utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            json += self
        } else {
            for scalar in withoutNUL.unicodeScalars {
                switch scalar {
                case "\"", "\\": json += "\\\(scalar)"
                case "\0"..<" ": json += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
                default: json.unicodeScalars.append(scalar)
                }
            }
        }
        json += "\""
    }
}
