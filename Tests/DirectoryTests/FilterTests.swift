import Testing

@testable import Directory

@Suite struct FilterTests {
    /// The examples of RFC 4515, section 4, and what people try.
    @Test(arguments: [
        ("alice", "(uid=alice)"), ("a.b@example.com", "(uid=a.b@example.com)"), ("*", #"(uid=\2a)"#),
        ("*)(uid=*", #"(uid=\2a\29\28uid=\2a)"#),
        ("Parens R Us (for all your parenthetical needs)", #"(uid=Parens R Us \28for all your parenthetical needs\29)"#),
        (#"C:\MyFile"#, #"(uid=C:\5cMyFile)"#), ("\0\0\0\u{4}", "(uid=\\00\\00\\00\u{4})"), ("Lučić", #"(uid=Lu\c4\8di\c4\87)"#),
        ("%s", "(uid=%s)"),
    ])
    func aNameIsAValueAndNothingElse(name: String, filter: String) throws {
        #expect(try #require(DirectoryFilter("(uid=%s)")).text(for: name) == filter)
    }

    @Test func aNameStandsWhereverItIsAskedFor() throws {
        #expect(try #require(DirectoryFilter("(|(uid=%s)(mail=%s))")).text(for: "a") == "(|(uid=a)(mail=a))")
        #expect(try #require(DirectoryFilter("uid=%s")).text(for: "a") == "uid=a")
    }

    @Test(arguments: ["", "(uid=*)", "(uid=%s", "uid=%s)", "(uid=%s))(", ")(uid=%s"])
    func whatFindsNobodyByTheNameIsNoFilter(text: String) { #expect(DirectoryFilter(text) == nil) }
}

@Suite struct AddressTests {
    @Test(arguments: [
        ("ldap://ldap.example.com", false, false), ("LDAPS://ldap.example.com:636/", true, false), ("ldap://127.0.0.1:389", false, true),
        ("ldaps://[::1]:1636", true, true), ("ldap://localhost", false, true),
    ])
    func addressesAreUnderstood(text: String, isEncrypted: Bool, isLocal: Bool) throws {
        let address = try #require(DirectoryAddress(text))
        #expect(address.isEncrypted == isEncrypted)
        #expect(address.isLocal == isLocal)
    }

    @Test(arguments: [
        "", "ldap.example.com", "http://ldap.example.com", "ldap://", "ldap://:389", "ldap://a:0", "ldap://a:b", "ldap://a:65536",
        "ldap://a/dc=b",
        "ldap://[a]", "ldap://::1", "ldap://a b", "ldap://user@a", "ldap://a?b",
    ])
    func whatIsNoAddressIsNone(text: String) { #expect(DirectoryAddress(text) == nil) }
}
