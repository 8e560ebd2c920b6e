import Testing

@testable import Database

@Suite("A statement") struct StatementTests {
    @Test("without marks is the same for both engines, but for how parameters are written")
    func plain() {
        let statement = Statement("SELECT $2, name FROM item WHERE id = $1")
        #expect(statement.sqlite == "SELECT ?2, name FROM item WHERE id = ?1")
        #expect(statement.postgres == "SELECT $2, name FROM item WHERE id = $1")
    }

    @Test("tells each engine what is marked for it, whatever is in it and around it")
    func engines() {
        let statement = Statement(
            """
            SELECT {sqlite: 1}{postgres: NOT pg_is_in_recovery()}, moment
            FROM   item{postgres:  FOR UPDATE}
            WHERE  moment > $1{postgres: ::timestamptz} AND {sqlite: hex(uid)}{postgres: encode(uid, 'hex')} IN [$2 text]
            """)
        #expect(
            statement.sqlite == """
                SELECT 1, moment
                FROM   item
                WHERE  moment > ?1 AND hex(uid) IN (SELECT value FROM json_each(?2))
                """)
        #expect(
            statement.postgres == """
                SELECT NOT pg_is_in_recovery(), moment
                FROM   item FOR UPDATE
                WHERE  moment > $1::timestamptz AND encode(uid, 'hex') = ANY($2::text[])
                """)
    }

    @Test("tells each engine what is marked over several lines")
    func lines() {
        let statement = Statement("{sqlite: SELECT 1}{postgres:\n    SELECT now()\n}")
        #expect(statement.sqlite == "SELECT 1")
        #expect(statement.postgres.split(whereSeparator: \.isWhitespace) == ["SELECT", "now()"])
    }

    @Test("joins pairs in the order in which they are looked up")
    func pairs() {
        let statement = Statement("SELECT 1 FROM PAIRS [$1 bigint, $2 text] AS wanted THEN JOIN item ON item.id = wanted.first")
        #expect(statement.sqlite.contains("json_each(?1)") && statement.sqlite.contains("json_each(?2)"))
        #expect(statement.sqlite.hasSuffix("AS wanted CROSS JOIN item ON item.id = wanted.first"))
        #expect(statement.postgres.contains("unnest($1::bigint[], $2::text[])"))
        #expect(statement.postgres.hasSuffix("AS wanted JOIN item ON item.id = wanted.first"))
    }

    @Test("with a mark that nobody knows is a bug")
    func unknown() async {
        await #expect(processExitsWith: .failure) { _ = Statement("SELECT {sqlight: 1}") }
    }
}
