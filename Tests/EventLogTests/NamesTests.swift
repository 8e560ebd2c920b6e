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
        for (claim, name) in names { #expect(claim.key == ClaimKey(name)) }
    }
}
