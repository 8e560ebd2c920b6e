import Testing

@testable import API

@Suite("Hosts and addresses") struct HostTests {
    @Test(
        "a host is the same however it is written",
        arguments: [
            ("sync.example.com", "sync.example.com", nil), ("Sync.Example.COM:443", "sync.example.com", 443),
            ("sync.example.com.", "sync.example.com", nil), ("sync.example.com.:8443", "sync.example.com", 8443),
            ("sync.example.com:", "sync.example.com", nil), ("etebase_server", "etebase_server", nil), ("10.0.0.7:3735", "10.0.0.7", 3735),
            ("[::1]", "::1", nil), ("[::1]:80", "::1", 80), ("::1", "::1", nil), ("[0:0:0:0:0:0:0:1]", "::1", nil),
            ("[2001:DB8::0:66]:443", "2001:db8::66", 443), ("[fe80::1%25eth0]", "fe80::1", nil),
            ("bücher.example", "xn--bcher-kva.example", nil), ("BÜCHER.example", "xn--bcher-kva.example", nil),
            ("bu\u{308}cher.example", "xn--bcher-kva.example", nil), ("XN--bcher-KVA.example", "xn--bcher-kva.example", nil),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah", nil), ("правда.рф", "xn--80aafi6cg.xn--p1ai", nil),
        ] as [(String, String, Int?)])
    func same(text: String, name: String, port: Int?) throws {
        let host = try #require(HostName(text))
        #expect(host.name == name)
        #expect(host.port == port)
    }

    @Test(
        "what is no host is none",
        arguments: [
            "", ":80", "[", "[]", "[::1", "[::1]x", "[::1]:x", "[::1\0]", "::1\0x", "a:b", "a:99999", "a b", "a,b", "a.example, a.example",
            "a/b", "a@b", "a..b",
            ".", "a\0",
            "1:2:3", String(repeating: "a", count: 300), String(repeating: "ü", count: 2000),
        ])
    func none(text: String) { #expect(HostName(text) == nil) }

    @Test("allowed are hosts, and domains with all below them or all below them alone")
    func allowed() throws {
        let hosts = try #require(try AllowedHosts(["Sync.example.com.", ".example.org", "*.example.net", "[::1]", "bücher.example"]))
        for served in ["sync.example.com:1", "example.org", "a.b.Example.org", "a.example.net", "[0::1]:80", "xn--bcher-kva.example"] {
            #expect(hosts.serves(HostName(served)), "\(served)")
        }
        for refused in ["example.com", "a.sync.example.com", "badexample.org", "example.net", "[::2]", "b.ucher.example"] {
            #expect(!hosts.serves(HostName(refused)), "\(refused)")
        }
        #expect(try AllowedHosts(["a.example", "*"]) == nil)
        #expect(throws: AllowedHosts.NoHost.self) { try AllowedHosts(["a b"]) }
    }

    @Test(
        "the public address is told as it was given",
        arguments: [
            ("https://Sync.Example.com/", "sync.example.com", "https://Sync.Example.com"),
            ("HTTPS://sync.example.com:443", "sync.example.com", "https://sync.example.com"),
            ("http://[fd00::5]:3735//", "fd00::5", "http://[fd00::5]:3735"),
            ("https://bücher.example/etebase/", "xn--bcher-kva.example", "https://bücher.example/etebase"),
        ])
    func publicAddress(url: String, name: String, text: String) throws {
        let address = try #require(PublicAddress(url))
        #expect(address.host.name == name)
        #expect(address.text == text)
    }

    @Test(
        "what is no address of a server is none",
        arguments: ["sync.example.com", "ftp://a", "https://", "https:///a", "https://u@a", "https://a:b"])
    func noAddress(url: String) { #expect(PublicAddress(url) == nil) }

    @Test(
        "addresses of clients come with ports, brackets, quotes and blanks",
        arguments: [
            ("198.51.100.7", "198.51.100.7"), (" 198.51.100.7:4711 ", "198.51.100.7"), ("\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("[2001:DB8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7"), ("unknown", nil), ("198.51.100.7\0x", nil), ("", nil),
            ("a.example", nil),
            (String(repeating: "1", count: 10_000), nil),
        ] as [(String, String?)])
    func clients(text: String, address: String?) { #expect(Call.address(text[...]) == address) }

    @Test(
        "a target is a path and a query, with one slash at its beginning",
        arguments: [
            ("/a/b?c=d", "/a/b", "c=d"), ("//a/b/", "/a/b/", nil), ("///", "/", nil), ("/a//b", "/a//b", nil), ("/%61?", "/a", ""),
            ("http://h:1/a?b#c", "/a", "b"), ("https://h", "/", nil), ("http://h?q", "/", "q"), ("*", "*", nil), ("/a?b?c", "/a", "b?c"),
            ("/a?\u{301}b", "/a", "\u{301}b"),
        ] as [(String, String, String?)])
    func targets(text: String, path: String, query: String?) {
        let target = Target(text)
        #expect(target.path == path)
        #expect(target.query.map(String.init) == query)
    }
}
