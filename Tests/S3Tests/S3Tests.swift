import Sodium
import Testing

@testable import S3

@Suite("An S3 store") struct S3Tests {
    @Test("has an address that says how it is reached")
    func addresses() throws {
        let amazon = try S3Address("s3://apus/some/where?region=eu-central-1")
        #expect(amazon.origin == "https://apus.s3.eu-central-1.amazonaws.com")
        #expect(amazon.root == "/some/where/" && amazon.prefix == "some/where/" && amazon.bucketPath == "/")
        let own = try S3Address("s3://apus?endpoint=http%3A%2F%2F127.0.0.1:9000&region=here")
        #expect(own.origin == "http://127.0.0.1:9000" && own.authority == "127.0.0.1:9000")
        #expect(own.root == "/apus/" && own.prefix == "" && own.bucketPath == "/apus")
        #expect(try S3Address("s3://apus?endpoint=https://s3.example.com&path-style=off").host == "apus.s3.example.com")
        #expect(try S3Address("s3://apus?endpoint=https://s3.example.com:443&ca=/etc/ca.pem").authority == "s3.example.com")
    }

    @Test(
        "has no address in what is none",
        arguments: [
            "", "s3://", "s3://ab", "http://apus", "s3://apus/../other", "s3://apus/a b", "s3://apus?endpoint=ftp://x",
            "s3://apus?endpoint=x",
            "s3://apus?endpoint=https://x/y", "s3://apus?region=", "s3://apus?region=a/b", "s3://apus?path-style=maybe", "s3://apus?who=me",
            "s3://apus?region=a&region=b", "s3://apus?endpoint=https://me:secret@x",
        ])
    func mistakes(text: String) { #expect(throws: S3Address.Mistake.self) { try S3Address(text) } }

    /// The examples of Amazon's own description of the signature.
    @Test(
        "is asked with signatures that others understand",
        arguments: [
            ("/test.txt", "", [("range", "bytes=0-9")], "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            ("/", "max-keys=2&prefix=J", [], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ])
    func signatures(path: String, query: String, headers: [(String, String)], wanted: String) {
        let signature = S3Signature(
            keys: S3Keys(access: "AKIAIOSFODNN7EXAMPLE", secret: Hidden("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")), region: "us-east-1",
            host: "examplebucket.s3.amazonaws.com")
        let signed = signature.headers(
            "GET", path, query: query, headers: headers, digest: Sodium.sha256([]).hexadecimal, at: "20130524T000000Z")
        #expect(signed.last?.1.hasSuffix("Signature=\(wanted)") == true)
    }

    /// The example of Amazon's own description of signatures in addresses.
    @Test("is asked by others with addresses that are signed for a while")
    func signedAddresses() {
        let signature = S3Signature(
            keys: S3Keys(access: "AKIAIOSFODNN7EXAMPLE", secret: Hidden("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")), region: "us-east-1",
            host: "examplebucket.s3.amazonaws.com")
        let query = signature.query("GET", "/test.txt", at: "20130524T000000Z", seconds: 86_400)
        #expect(query.contains("&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&"))
        #expect(query.hasSuffix("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"))
    }

    @Test("tells its objects in lists, and where they go on")
    func lists() throws {
        let entry = "<Contents><Key>pre/a/b</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><Size>7</Size></Contents>"
        let text =
            "<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated>\(entry)<NextContinuationToken>a&amp;b</NextContinuationToken></ListBucketResult>"
        let list = try #require(S3List(text, prefix: "pre/"))
        #expect(list.objects == [S3Object(name: "a/b", bytes: 7, putAt: 1_767_323_045_678_000)])
        #expect(list.next == "a&b")
        #expect(S3List("<ListBucketResult></ListBucketResult>", prefix: "")?.objects == [])
        #expect(S3List("<html></html>", prefix: "") == nil)
        #expect(S3List(text.replacing("<Size>7</Size>", with: ""), prefix: "pre/") == nil)
    }

    @Test("has hashes and codes as others compute them, also piece by piece")
    func hashes() {
        var hash = SHA256()
        for piece in ["a", "", "bc"] { hash.update(Array(piece.utf8)) }
        #expect(hash.finish() == Sodium.sha256(Array("abc".utf8)))
        #expect(hash.finish().hexadecimal == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        // RFC 4231, the second test.
        #expect(
            Sodium.hmacSHA256(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8)).hexadecimal
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect([UInt8](hexadecimal: "00ff1a") == [0, 255, 26] && [UInt8](hexadecimal: "0") == nil && [UInt8](hexadecimal: "0G") == nil)
    }
}
