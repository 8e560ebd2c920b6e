import Contents
import Database
import Foundation
import S3
import Sodium
import Testing

/// The S3 store of the tests, where there is one: `APUS_TEST_S3` is its address, `APUS_TEST_S3_KEYS` the name of the key and the key,
/// with a space between.
enum ObjectStore {
    private static let environment = ProcessInfo.processInfo.environment

    /// Contents below a prefix of their own.
    static func contents(_ database: any Database) throws -> ObjectContents? {
        guard let text = environment["APUS_TEST_S3"] else { return nil }
        let keys = try #require(environment["APUS_TEST_S3_KEYS"]?.split(separator: " ").map(String.init))
        let parts = text.split(separator: "?", maxSplits: 1).map(String.init)
        let address = try S3Address("\(parts[0])/\(UUID().uuidString)?\(parts.last ?? "")")
        return ObjectContents(try S3Bucket(address, S3Keys(access: keys[0], secret: Hidden(keys[1]))), database: database)
    }
}

extension ContentPlace {
    /// Those that there are where the tests run.
    static let tested = allCases.filter { $0 != .objects || ProcessInfo.processInfo.environment["APUS_TEST_S3"] != nil }
}
