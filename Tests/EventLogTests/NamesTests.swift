import Domain
import TestSupport
import Testing

@testable import EventLog

@Suite("Names in the log's tables") struct NamesTests {
    @Test("of streams are for ever, and lead back to their streams") func streams() {
        let names: [(StreamID, String)] = [
            (.collection(CollectionUID("notes")), "collection/notes"), (.collection(CollectionUID("user/1")), "collection/user/1"),
            (.collection(CollectionUID("")), "collection/"), (.user(UserID(rawValue: 12)), "user/12"),
        ]
        for (stream, name) in names {
            #expect(stream.name == StreamName(name))
            #expect(StreamID(StreamName(name)) == stream)
        }
        for name in ["", "user", "user/", "user/x", "collections/1"] { #expect(StreamID(StreamName(name)) == nil) }
    }

    @Test("of claims are for ever, and never those of another kind") func claims() {
        let names: [(Claim, String)] = [
            (.username("ada"), "username/ada"), (.collection(CollectionUID("notes")), "collection/notes"),
            (.revision(RevisionUID("r1")), "revision/r1"), (.collectionType([0, 15, 255]), "type/000fff"), (.collectionType([]), "type/"),
        ]
        for (claim, name) in names { #expect(claim.keys == [ClaimKey(name)]) }
    }

    @Test("of long types fit into an index, and are looked for in full too") func longTypes() {
        let long = [UInt8](repeating: 7, count: 1025)
        let full = ClaimKey("type/" + String(repeating: "07", count: 1025))
        let hash = ClaimKey("long-type/c92aeb5b06e9f160cd0e9b3da976cc091f08c8277cf4213d848158fad10d60f3")
        #expect(Claim.collectionType(long).keys == [hash, full])
        #expect(Claim.collectionType(Array(long.dropLast())).keys == [ClaimKey("type/" + String(repeating: "07", count: 1024))])
        #expect(Claim.collectionType(long + [0]).key != hash)
    }
}
