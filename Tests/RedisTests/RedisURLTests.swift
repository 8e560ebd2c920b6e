import Testing

@testable import Redis

@Suite("The address of Redis") struct RedisURLTests {
    @Test("user, password, host, port and database") func all() throws {
        let url = try RedisURL("rediss://ada:p%40ss%2Fword@redis.example.com:7000/3?sslrootcert=/etc/ca.pem")
        #expect(url.address == .host("redis.example.com", port: 7000))
        #expect((url.user, url.password, url.database) == ("ada", "p@ss/word", 3))
        #expect(url.isEncrypted && url.authoritiesPath == "/etc/ca.pem")
    }

    @Test("all but the host may be missing") func host() throws {
        let url = try RedisURL("redis://localhost")
        #expect(url.address == .host("localhost", port: 6379))
        #expect((url.user, url.password, url.database) == (nil, nil, 0))
        #expect(!url.isEncrypted)
        #expect(try RedisURL("redis://:secret@[::1]/").password == "secret")
        #expect(try RedisURL("redis://[::1]:7000").address == .host("::1", port: 7000))
    }

    @Test("a socket") func socket() throws {
        let url = try RedisURL("unix://:secret@/run/redis/redis.sock?db=2")
        #expect(url.address == .socket(path: "/run/redis/redis.sock"))
        #expect((url.password, url.database) == ("secret", 2))
    }

    @Test(
        "a mistake is told without what the address holds",
        arguments: [
            "", "localhost:6379", "http://:hunter2@localhost", "redis://", "redis://:hunter2@localhost:99999",
            "redis://:hunter2@localhost/hunter2", "redis://localhost/-1", "redis://hunter2@localhost",
            "redis://:hunter2@localhost?hunter2=1",
            "redis://:hunter2@localhost#hunter2", "redis://:hunter2 @localhost", "unix://hunter2/socket", "unix://",
            "redis://localhost?sslrootcert=/etc/ca.pem", "rediss://localhost/99999999999999999999",
        ])
    func mistakes(text: String) {
        let mistake = #expect(throws: RedisURL.Mistake.self) { try RedisURL(text) }
        #expect(mistake?.description.contains("hunter2") == false)
    }
}
