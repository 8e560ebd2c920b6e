import Synchronization
import Testing

@testable import Database

@Suite("Addresses of PostgreSQL") struct PostgresAddressTests {
    private func parameters(_ url: String, _ role: PostgresDatabase.Role = .writable) throws -> [String: String] {
        try #require(PostgresAddress(url: url, role: role).parameters).value
    }

    @Test("mean the writable server, and have bounds, unless they say otherwise") func defaults() throws {
        let plain = try parameters("postgres://ada@db/apus")
        #expect(plain["target_session_attrs"] == "read-write")
        #expect(plain["connect_timeout"] == "5")
        #expect(plain["application_name"] == "apus")
        #expect(plain["host"] == "db" && plain["user"] == "ada" && plain["dbname"] == "apus")
        #expect(try parameters("postgres://db/apus", .any)["target_session_attrs"] == nil)
        let given = try parameters("postgres://db/apus?target_session_attrs=any&connect_timeout=9&application_name=mine&sslmode=require")
        #expect(given["target_session_attrs"] == "any" && given["connect_timeout"] == "9")
        #expect(given["application_name"] == "mine" && given["sslmode"] == "require")
        #expect(try parameters("postgres://a,b:5433/apus")["connect_timeout"] == "2")
    }

    @Test("may end in a question mark, and are told from what is none") func forms() throws {
        #expect(try parameters("postgres://db/apus?")["dbname"] == "apus")
        #expect(PostgresAddress(url: "postgres://db:port:5/apus", role: .any).parameters == nil)
    }

    @Test("make all sessions suspect once in a second, however many find out") func suspicions() {
        let address = PostgresAddress(url: "postgres://db/apus", role: .writable)
        let now = ContinuousClock.now
        for offset in [0, 1, 500, 999] { address.suspect(at: now + .milliseconds(offset)) }
        #expect(address.suspicions == 1)
        address.suspect(at: now + .milliseconds(1000))
        #expect(address.suspicions == 2)
    }

    @Test("where nobody answers, all who ask are told at once") func questions() async {
        let connection = PostgresConnection(PostgresAddress(url: "postgres://127.0.0.1:1/none", role: .any), number: 0)
        let told = Mutex(0)
        let asked = Mutex<[Bool]>([])
        let question = Question(statement: Statement("SELECT 1"), values: []) { result in
            if case .failure(let fault as DatabaseFault) = result, case .unavailable = fault.kind { told.withLock { $0 += 1 } }
        }
        await connection.answer { all in
            asked.withLock { $0.append(all) }
            return Array(repeating: question, count: all ? 700 : 64)
        }
        #expect(told.withLock { $0 } == 764)
        #expect(asked.withLock { $0 } == [false, true])
    }
}
