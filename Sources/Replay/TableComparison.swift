internal import Database
internal import Projections

extension ReadModelTable {
    /// How a row is not what it should be.
    enum Difference: Hashable, Sendable {
        case missing
        case unexpected
        case different
    }

    /// Compares the table in two databases, row by row.
    ///
    /// - Parameter found: told of each row of `live` that is not as in `replayed`.
    /// - Returns: how many rows `live` has.
    func compare(_ live: any Connection, _ replayed: any Connection, _ found: (Int64, Difference) throws -> Void) throws -> Int {
        var here = Lines(table: self, connection: live)
        var there = Lines(table: self, connection: replayed)
        var rows = 0
        while true {
            let (mine, wanted) = (try here.first(), try there.first())
            guard let key = [mine?.key, wanted?.key].compactMap({ $0 }).min() else { return rows }
            let isHere = mine?.key == key
            let isThere = wanted?.key == key
            if isHere, isThere, mine?.values != wanted?.values { try found(key, .different) }
            if isHere, !isThere { try found(key, .unexpected) }
            if !isHere { try found(key, .missing) }
            if isHere {
                rows += 1
                here.removeFirst()
            }
            if isThere { there.removeFirst() }
        }
    }

    /// All rows, read page by page.
    fileprivate struct Lines {
        let table: ReadModelTable
        let connection: any Connection
        private static let pageRows = 1000
        private var page: ArraySlice<Line> = []
        private var last = Int64.min
        private var isAtEnd = false

        init(table: ReadModelTable, connection: any Connection) {
            self.table = table
            self.connection = connection
        }

        mutating func first() throws -> Line? {
            if page.isEmpty, !isAtEnd {
                page = try table.rows(after: last, limit: Self.pageRows, connection)[...]
                isAtEnd = page.count < Self.pageRows
                last = page.last?.key ?? last
            }
            return page.first
        }

        mutating func removeFirst() { page.removeFirst() }
    }
}
