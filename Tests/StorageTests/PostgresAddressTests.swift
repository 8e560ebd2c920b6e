import Synchronization
import Testing

@testable import Database

@Suite("Addresses of PostgreSQL") struct PostgresAddressTests {
    private func parameter(_ keyword: String, _ url: String, _ role: PostgresDatabase.Role = .writable) -> String? {
        PostgresAddress(url: url, role: role).parameter(keyword)
    }

    @Test("mean the writable server, and have bounds, unless they say otherwise") func defaults() {
        let plain = "postgres://ada@db/apus"
        let known = [
            "target_session_attrs": "read-write", "connect_timeout": "5", "application_name": "apus", "host": "db", "user": "ada",
            "dbname": "apus",
        ]
        for (keyword, value) in known { #expect(parameter(keyword, plain) == value) }
        #expect(parameter("target_session_attrs", plain, .any) == nil)
        #expect(parameter("connect_timeout", "postgres://a,b:5433/apus") == "2", "one that is dead must not cost the others' time")
        let given = ["target_session_attrs": "any", "connect_timeout": "9", "application_name": "mine", "sslmode": "require"]
        let address = plain + "?" + given.map { "\($0)=\($1)" }.joined(separator: "&")
        for (keyword, value) in given { #expect(parameter(keyword, address) == value) }
    }

    @Test("may end in a question mark, and are told from what is none") func forms() {
        #expect(parameter("dbname", "postgres://db/apus?") == "apus")
        #expect(!PostgresAddress(url: "postgres://[db/apus", role: .any).isUnderstood)
    }

    @Test("make all sessions suspect once in a second, however many find out") func suspicions() {
        let address = PostgresAddress(url: "postgres://db/apus", role: .writable)
        let now = ContinuousClock.now
        for offset in [0, 1, 500, 999] { address.suspect(at: now + .milliseconds(offset)) }
        #expect(address.suspicions == 1)
        address.suspect(at: now + .milliseconds(1000))
        #expect(address.suspicions == 2)
    }

    @Test("tell a time that stands still while a server is waited for, and no longer than it is") func time() {
        let address = PostgresAddress(url: "postgres://db/apus", role: .writable, moveLimit: .seconds(5))
        let start = ContinuousClock.now
        let first = address.time(at: start)
        func time(_ seconds: Int) -> Duration { address.time(at: start + .seconds(seconds)) - first }
        #expect(!address.isMoving(at: start))
        address.isLookedFor(at: start + .seconds(10))
        address.isLookedFor(at: start + .seconds(12))
        #expect([11, 14].map(time) == [.seconds(10), .seconds(10)])
        #expect(address.isMoving(at: start + .seconds(14)))
        address.isBack(at: start + .seconds(14))
        #expect([14, 20].map(time) == [.seconds(10), .seconds(16)])
        address.isLookedFor(at: start + .seconds(20))
        #expect(!address.isMoving(at: start + .seconds(25)))
        #expect([25, 120].map(time) == [.seconds(16), .seconds(111)])
        address.isBack(at: start + .seconds(120))
        #expect(time(121) == .seconds(112))
    }

    @Test("name servers that are tried in their order, but those last with which a session has broken") func order() {
        func tried(_ url: String, after broken: [(name: String, port: String)]) -> [String] {
            let address = PostgresAddress(url: url, role: .writable)
            for (name, port) in broken { address.broke(.init(name: name, port: port)) }
            let parameters = ["host", "port"].reduce(into: [:]) { $0[$1] = address.parameter($1) }
            return address.attempts(parameters).map { attempt in
                let words = [attempt.parameters["host"], attempt.parameters["port"], attempt.isBroken ? "broken" : nil]
                return words.compactMap(\.self).filter { !$0.isEmpty }.joined(separator: " ")
            }
        }
        #expect(tried("postgres://a:1,b:2,c:3/apus", after: []) == ["a,b,c 1,2,3"])
        #expect(tried("postgres://a:1,b:2,c:3/apus", after: [("a", "1")]) == ["b,c 2,3", "a 1 broken"])
        #expect(
            tried("postgres://a:1,b:2,c:3/apus", after: [("a", "1"), ("b", "2"), ("a", "1")]) == ["c 3", "b 2 broken", "a 1 broken"])
        #expect(tried("postgres://a,b/apus?port=7", after: [("a", "7")]) == ["b 7", "a 7 broken"])
        #expect(tried("postgres://a,b/apus", after: [("b", "5432"), ("a", "5432")]) == ["b broken", "a broken"])
        #expect(tried("postgres://a:1,a:2/apus", after: [("a", "1")]) == ["a 2", "a 1 broken"])
        #expect(tried("postgres://a:1/apus", after: [("a", "1")]) == ["a 1"])
    }

    @Test("where nobody answers, all who ask are told at once") func questions() async {
        let connection = PostgresConnection(PostgresAddress(url: "postgres://127.0.0.1:1/none", role: .any), number: 0)
        let told = Mutex(0)
        let asked = Mutex<[Bool]>([])
        let question = Question(batch: [(Statement("SELECT 1"), [])]) { result in
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
