/// How long the fields of new things may be. Clients never meet these limits: the right column says what the official ones
/// send. What is longer is refused with 400 `field_errors` and changes nothing; what an adopted database has is served as it
/// is. README has the same table.
///
/// | field | limit | official clients send |
/// |---|---|---|
/// | uid of a collection, item, revision, invitation | 43 characters of `A-Za-z0-9_-` | 32 |
/// | uid of a chunk | 60 of them | 43 |
/// | user name | 150 characters | |
/// | email address | 254 characters | |
/// | salt | 1 KiB | 16 bytes |
/// | login key | 32 bytes | 32 |
/// | public key | 1 KiB | 32 |
/// | encrypted content of an account | 16 KiB | some 150 |
/// | key of a collection, for a member | 4 KiB | some 100 |
/// | key of an item | 4 KiB | none, or some 100 |
/// | signed key of an invitation | 4 KiB | some 150 |
/// | type of a collection | 2,000 bytes | some 60 |
/// | meta of a revision | 4 MiB | some hundred |
/// | chunks that a revision names, however often | 65,536 | one for each 16 KiB of content, or more |
/// | chunks that a request names, however often | 100,000 | |
/// | name of a client's device | the first 200 characters of its `User-Agent` | some 30 |
package enum FieldLimits {
    /// Characters.
    package static let uid = 43
    /// Characters.
    package static let chunkUID = 60
    /// Characters, as Django's tables have them.
    package static let username = 150
    /// Characters, as Django's tables have them.
    package static let email = 254
    package static let saltBytes = 1024
    /// Exactly so many, as Ed25519 has them.
    package static let loginPubkeyBytes = 32
    package static let pubkeyBytes = 1024
    package static let encryptedContentBytes = 16 << 10
    package static let collectionKeyBytes = 4096
    package static let itemKeyBytes = 4096
    package static let signedEncryptionKeyBytes = 4096
    /// Types are indexed as a whole, and an entry of PostgreSQL's index holds some 2,700 bytes (QUIRKS.md 47).
    package static let collectionTypeBytes = 2000
    package static let metaBytes = 4 << 20
    /// Content that repeats itself names a chunk more than once. At 16 KiB for a chunk, the least that official clients cut,
    /// this is a content of 1 GiB.
    package static let chunksOfRevision = 65_536
    /// Each becomes a row.
    package static let chunksOfCommand = 100_000
    /// Characters.
    package static let device = 200
}
