/// What a reading transaction will ask, said before it asks, so that all of it goes in one round trip.
///
/// Pattern: whoever reads says ahead what its closure will ask, as far as that follows from what the wire brought. All of it is
/// asked in one snapshot, and the closure runs on the answers, as a function of them, where the request is. Where it asks for
/// something else, it runs again in an ordinary transaction: what is asked ahead decides how fast an answer is, and never what it
/// says.
///
/// A question that names what only an earlier answer tells (the number of a collection, say) is asked ahead by another, which finds
/// that out in its own statement. Whether its answer is the one that is wanted, the inquiry looks when it is.
package struct Inquiry: Sendable {
    /// Rows that answer a question.
    package struct Found: Sendable {
        let number: Int
        let rows: [Int]?
        let columns: [Int]?

        /// - Parameters:
        ///   - number: of the statement whose answer has them.
        ///   - rows: which of its rows they are; nil for all.
        ///   - columns: which of its columns are theirs, in their order; nil for all.
        package init(_ number: Int, rows: [Int]? = nil, columns: [Int]? = nil) {
            (self.number, self.rows, self.columns) = (number, rows, columns)
        }
    }

    /// Finds the rows that a question with these values asks for; nil where they are not there.
    package typealias Find = @Sendable (_ values: [Value], _ answers: Answers) -> Found?

    /// The answers to what was asked, in that order.
    package struct Answers {
        let results: [PostgresResult]

        /// The rows of an answer, counted from 0.
        package func rows(_ number: Int) -> [any Row] { results[number].rows }

        /// Whether a column of a row is null.
        package func isNull(_ number: Int, row: Int, _ column: Int) -> Bool {
            PostgresRow(result: results[number], row: row).isNull(column)
        }

        /// The first row of an answer; nil where it has none.
        package func first(_ number: Int) -> (any Row)? {
            results[number].count > 0 ? PostgresRow(result: results[number], row: 0) : nil
        }
    }

    /// What is asked: all in one snapshot, one after the other.
    private(set) var statements: [(statement: Statement, values: [Value])] = []
    /// Which questions that answers.
    fileprivate var finds: [(question: Statement, find: Find)] = []

    package init() {}

    /// How many statements are asked.
    package var count: Int { statements.count }

    /// Asks the very question that the closure will ask.
    ///
    /// - Returns: the statement's number.
    @discardableResult
    package mutating func ask(_ statement: Statement, _ values: [Value]) -> Int {
        let number = count
        return ask(statement, values, for: statement) { asked, _ in asked == values ? Found(number) : nil }
    }

    /// Asks the very question that the closure will ask.
    ///
    /// - Returns: the statement's number.
    @discardableResult
    package mutating func ask(_ query: Query) -> Int { ask(query.statement, query.values) }

    /// Asks what stands for another question. Its answer has the same columns, and perhaps more.
    ///
    /// - Returns: the statement's number.
    @discardableResult
    package mutating func ask(_ statement: Statement, _ values: [Value], for question: Statement, _ find: @escaping Find) -> Int {
        statements.append((statement, values))
        answer(question, find)
        return count - 1
    }

    /// Asks what stands for another question. Its answer has the same columns, and perhaps more.
    package mutating func ask(_ query: Query, for question: Statement, _ find: @escaping Find) {
        ask(query.statement, query.values, for: question, find)
    }

    /// Says how a question is answered by what is asked anyway.
    package mutating func answer(_ question: Statement, _ find: @escaping Find) { finds.append((question, find)) }
}

/// A connection that knows the answers of an inquiry, and no others.
final class AnswersConnection: Connection {
    private static let unknown = DatabaseFault(.unavailable, "PostgreSQL: it was not asked ahead")

    private let finds: [(question: Statement, find: Inquiry.Find)]
    private let answers: Inquiry.Answers
    /// Whether something was asked that it does not know.
    private(set) var isIncomplete = false

    init(_ inquiry: Inquiry, _ results: [PostgresResult]) {
        precondition(results.count == inquiry.count, "each statement has an answer")
        finds = inquiry.finds
        answers = Inquiry.Answers(results: results)
    }

    var dialect: Dialect { .postgres }

    func query<T>(_ statement: Statement, _ values: [Value], _ row: (any Row) throws -> T) throws -> [T] {
        for (question, find) in finds where question.postgres == statement.postgres {
            guard let found = find(values, answers) else { continue }
            let result = answers.results[found.number]
            return try (found.rows ?? Array(0..<result.count)).map { number in
                let whole = PostgresRow(result: result, row: number)
                return try row(found.columns.map { PartOfRow(row: whole, columns: $0) } ?? whole)
            }
        }
        throw noAnswer()
    }

    func execute(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) -> Int { throw noAnswer() }
    func enqueue(_ statement: Statement, _ values: [Value]) throws(DatabaseFault) { throw noAnswer() }
    func enqueue(_ statement: SetStatement, rows: [[Value]]) throws(DatabaseFault) { throw noAnswer() }
    func run(script: String) throws(DatabaseFault) { throw noAnswer() }

    private func noAnswer() -> DatabaseFault {
        isIncomplete = true
        return Self.unknown
    }
}

/// Some columns of a row.
private struct PartOfRow: Row {
    let row: PostgresRow
    let columns: [Int]

    func integer(_ column: Int) -> Int64 { row.integer(columns[column]) }
    func integerOrNil(_ column: Int) -> Int64? { row.integerOrNil(columns[column]) }
    func text(_ column: Int) -> String { row.text(columns[column]) }
    func textOrNil(_ column: Int) -> String? { row.textOrNil(columns[column]) }
    func blob(_ column: Int) -> [UInt8] { row.blob(columns[column]) }
    func blobOrNil(_ column: Int) -> [UInt8]? { row.blobOrNil(columns[column]) }
}

extension Database {
    /// Where a statement costs no round trip there is nothing to ask ahead.
    package func read<T: Sendable>(
        _ extent: ReadExtent, asking inquiry: () -> Inquiry?, _ body: @escaping @Sendable (any Connection) throws -> T
    ) async throws -> T { try await read(extent, body) }
}
