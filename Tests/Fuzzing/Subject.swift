/// What is fuzzed: what takes bytes from strangers, from those whom the server trusts no further, and from its operator.
///
/// Pattern: a subject is a function over bytes that calls what the product calls, and throws where a property does not hold. It is called
/// from two sides: by `ops/fuzz` with inputs that libFuzzer makes, and by the tests with those that are kept in `Corpora`.
///
/// Invariants: a subject never traps, whatever the bytes; it throws nothing but ``Broken`` and what the product must not throw; the same
/// bytes take the same way each time. What it leaves is nothing.
struct Subject: Sendable {
    /// A property does not hold.
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    /// As `ops/fuzz` and the folder of the corpus call it.
    let name: String
    let way: Way

    enum Way: Sendable {
        case atOnce(@Sendable ([UInt8]) throws -> Void)
        case waiting(@Sendable ([UInt8]) async throws -> Void)
    }

    init(_ name: String, _ check: @escaping @Sendable ([UInt8]) throws -> Void) { (self.name, way) = (name, .atOnce(check)) }

    init(_ name: String, waiting check: @escaping @Sendable ([UInt8]) async throws -> Void) { (self.name, way) = (name, .waiting(check)) }

    func check(_ bytes: [UInt8]) async throws {
        switch way {
        case .atOnce(let check): try check(bytes)
        case .waiting(let check): try await check(bytes)
        }
    }

    static let all = formats + requests + connections + kept + operators + [backups]

    static func named(_ name: String) -> Subject? { all.first { $0.name == name } }

    /// - Parameter what: the property, as a sentence.
    static func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Broken) {
        guard holds else { throw Broken(description: what()) }
    }
}

extension ArraySlice<UInt8> {
    var text: String { String(decoding: self, as: UTF8.self) }
}

extension [UInt8] {
    var text: String { self[...].text }
}
