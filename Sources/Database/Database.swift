/// Statements, rows and transactions, whatever the engine.
///
/// Pattern: a ``Database`` runs closures in transactions; inside, a ``Connection`` runs ``Statement``s. Closures are
/// synchronous and run on a thread of the engine's own, never on the cooperative pool, so a slow disk stops no request
/// that does not need it. What differs between engines is the text of some statements, and nothing else: the modules
/// above do not know which engine they run on.
///
/// Invariants: a read sees one snapshot; a write is durable when it returns (G1); an error thrown by a closure rolls
/// everything back.

/// A dialect of SQL.
package enum Dialect: Sendable {
    case sqlite
    case postgres
}

/// A value that is bound to a statement's parameter.
package enum Value: Equatable, Sendable {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])
    /// Several texts for one parameter (``Statement``).
    case texts([String?])
    /// Several numbers for one parameter (``Statement``).
    case integers([Int64?])
    /// Several byte strings for one parameter; PostgreSQL only.
    case blobs([[UInt8]?])

    /// Texts are the same when their bytes are, as the databases have it: Swift's are so, too, when they only look alike.
    package static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.integer(let one), .integer(let other)): one == other
        case (.text(let one), .text(let other)): one.utf8.elementsEqual(other.utf8)
        case (.blob(let one), .blob(let other)): one == other
        case (.texts(let one), .texts(let other)): one.elementsEqual(other, by: isSame)
        case (.integers(let one), .integers(let other)): one == other
        case (.blobs(let one), .blobs(let other)): one == other
        case (.null, _), (.integer, _), (.text, _), (.blob, _), (.texts, _), (.integers, _), (.blobs, _): false
        }
    }

    private static func isSame(_ one: String?, _ other: String?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return one.utf8.elementsEqual(other.utf8)
    }
}

extension String {
    /// The text as a database can hold it. Neither can keep a NUL, and nothing that is kept has one: a text with a NUL is
    /// looked for as one with a noncharacter instead, which is found nowhere either, where a cut one might be.
    var withoutNUL: String { utf8.contains(0) ? replacing("\0", with: "\u{FFFF}") : self }
}

extension Value {
    /// The text, or null.
    package static func text(orNull text: String?) -> Value { text.map { .text($0) } ?? .null }
    /// The bytes, or null.
    package static func blob(orNull bytes: [UInt8]?) -> Value { bytes.map { .blob($0) } ?? .null }
    /// The number, or null.
    package static func integer(orNull number: Int64?) -> Value { number.map { .integer($0) } ?? .null }
    /// 1 or 0: Django's booleans on SQLite; PostgreSQL's statements compare or cast.
    package static func flag(_ flag: Bool) -> Value { .integer(flag ? 1 : 0) }
}

/// A row of an answer, good only while it is being read. Columns are counted from 0.
///
/// Reading a column as what it is not is a bug in the statement and stops the program.
package protocol Row {
    /// The number in the column, which is not null.
    func integer(_ column: Int) -> Int64
    /// The number in the column; nil where it is null.
    func integerOrNil(_ column: Int) -> Int64?
    /// The text in the column, which is not null.
    func text(_ column: Int) -> String
    /// The text in the column; nil where it is null.
    func textOrNil(_ column: Int) -> String?
    /// The bytes in the column, which is not null.
    func blob(_ column: Int) -> [UInt8]
    /// The bytes in the column; nil where it is null.
    func blobOrNil(_ column: Int) -> [UInt8]?
}

extension Row {
    /// The truth in the column, which is not null.
    package func flag(_ column: Int) -> Bool { integer(column) != 0 }
}

/// A statement with what is done with each row of its answer.
package struct Query {
    let statement: Statement
    let values: [Value]
    let read: (any Row) throws -> Void

    package init(_ statement: Statement, _ values: [Value], _ read: @escaping (any Row) throws -> Void) {
        self.statement = statement
        self.values = values
        self.read = read
    }
}

/// A connection inside a transaction.
package protocol Connection {
    /// Which texts of statements it runs.
    var dialect: Dialect { get }

    /// Runs a statement for its effect and answers how many rows it changed.
    @discardableResult
    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int

    /// Runs a statement for its effect, perhaps only when an answer is asked for or the transaction ends, so that many
    /// statements need one round trip.
    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault)

    /// Runs a statement about a set of rows, perhaps later, as ``enqueue(_:_:)`` does.
    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault)

    /// Runs a statement and makes something of each row.
    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T]

    /// Runs several statements, none of which depends on another's answer, in one round trip.
    func run(_ queries: [Query]) throws

    /// Runs statements that have no parameters and no answer, separated by semicolons.
    func run(script: String) throws(DatabaseFault)
}

extension Connection {
    /// Runs the statements one after the other.
    package func run(_ queries: [Query]) throws {
        for query in queries { _ = try self.query(query.statement, query.values, query.read) }
    }

    /// Runs a statement and makes something of its first row; nil where there is none.
    package func first<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> T? {
        try query(statement, values, row).first
    }
}

/// A database, with its pool of connections.
package protocol Database: Sendable {
    /// What runs it.
    var engine: DatabaseEngine { get }

    /// Runs `body` in a snapshot that no writer changes.
    ///
    /// - Throws: ``DatabaseFault``, or what `body` throws.
    func read<T: Sendable>(_ extent: ReadExtent, _ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T

    /// Runs `body` in a snapshot that no writer changes; where a round trip costs more than a statement, on what is asked ahead. `body`
    /// may run twice.
    ///
    /// - Parameter inquiry: what `body` will ask; nil where too little of it is known. Its answers must not be large.
    /// - Throws: ``DatabaseFault``, or what `body` throws.
    func read<T: Sendable>(
        _ extent: ReadExtent, asking inquiry: () -> Inquiry?, _ body: @escaping @Sendable (any Connection) throws -> T
    ) async throws -> T

    /// Asks one statement in a snapshot of its own. Its answer must be small.
    ///
    /// - Throws: ``DatabaseFault``, or what `row` throws.
    func ask<T: Sendable>(_ statement: Statement, _ values: [Value], _ row: @escaping @Sendable (any Row) throws -> T) async throws -> [T]

    /// Runs `body` in the only writing transaction; it is durable when this returns.
    ///
    /// - Throws: ``DatabaseFault``, or what `body` throws; then nothing has changed.
    func write<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T

    /// Looks, without asking it anything, whether what is written into the database is kept.
    ///
    /// - Throws: ``DatabaseFault`` that says why not.
    func check() throws(DatabaseFault)

    /// Whether it is away just now, for so short a time that those who need it wait for it.
    var isMoving: Bool { get }
}

/// A database at the other end of a connection, where a round trip costs more than a statement.
package protocol RemoteDatabase: Database {
    /// Runs statements in a transaction of their own, all in one round trip; it is durable when this returns.
    ///
    /// - Parameter row: makes something of the one row that the last statement answers with.
    /// - Throws: ``DatabaseFault``, or what `row` throws; then nothing has changed.
    func atomically<T: Sendable>(
        _ batch: [(statement: Statement, values: [Value])], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> T
}

/// How long a read may take.
package enum ReadExtent: Sendable {
    /// No longer than it takes to wake a thread: it may be done on the thread of the request.
    case small
    case large
}

extension Database {
    /// Runs `body`, which may take its time, in a snapshot that no writer changes.
    package func read<T: Sendable>(_ body: @escaping @Sendable (any Connection) throws -> T) async throws -> T {
        try await read(.large, body)
    }

    /// Whoever serves a database over a connection looks after its files.
    package func check() throws(DatabaseFault) {}

    /// A file does not move.
    package var isMoving: Bool { false }

    /// Asks one statement in a snapshot of its own.
    package func ask<T: Sendable>(
        _ statement: Statement, _ values: [Value], _ row: @escaping @Sendable (any Row) throws -> T
    ) async throws -> [T] {
        try await read(.small) { connection in try connection.query(statement, values, row) }
    }
}

/// The database could not do what it should. The description holds no SQL and no value.
package struct DatabaseFault: Error, CustomStringConvertible, Sendable {
    /// What a caller can do about it.
    package enum Kind: Sendable {
        /// Try again later: busy, full, away, or shutting down.
        case unavailable
        /// A constraint does not hold: a bug, or a database that somebody else changed.
        case constraint
        /// Another transaction got in the way; the same again may succeed.
        case conflict
        /// The file or the schema is not what it should be.
        case corrupt
        /// A function of ours in the database said no: the SQLSTATE and the message that it gave.
        case raised(code: String, message: String)
    }

    package let kind: Kind
    package let description: String
    /// Whether something was to be written where nothing can be.
    let canOnlyBeRead: Bool
    /// Whether another has for itself what was to be read.
    let isBusy: Bool
    /// Whether there was no server that could be asked, or not the one that can be written: once there is one, nothing is wrong any more.
    package let isAway: Bool
    /// The session that broke while it was to append, which it may have done; nil where nothing can have been, or no session is known.
    package private(set) var asked: SessionMark?

    package init(_ kind: Kind, _ description: String) {
        self.init(kind, description, isBusy: false)
    }

    init(_ kind: Kind, _ description: String, canOnlyBeRead: Bool = false, isBusy: Bool = false, isAway: Bool = false) {
        self.kind = kind
        self.description = description
        self.canOnlyBeRead = canOnlyBeRead
        self.isBusy = isBusy
        self.isAway = isAway || canOnlyBeRead
    }

    func with(asked session: SessionMark?) -> DatabaseFault {
        var fault = self
        fault.asked = session
        return fault
    }
}
