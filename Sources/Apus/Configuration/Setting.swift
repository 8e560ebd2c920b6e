internal import ArgumentParser

/// Something that an operator can set: how it is called, what it is for, and how its text is read. ``Settings`` has them all.
struct Setting<Value: Sendable>: Sendable {
    /// Reads a text; the second is the setting's name, for what is said of a mistake.
    typealias Reading = @Sendable (_ text: String, _ name: String) throws -> Value

    let facts: SettingFacts
    let read: Reading

    init(
        _ name: String, flag: String?, default fallback: SettingFacts.Fallback, example: String? = nil, isSecret: Bool = false,
        _ summary: String, _ read: @escaping Reading
    ) {
        self.read = read
        facts = SettingFacts(name: name, flag: flag, summary: summary, fallback: fallback, givenExample: example, isSecret: isSecret) {
            _ = try read($0, name)
        }
    }

    /// The variable of the environment.
    var name: String { facts.name }

    /// What `--help` says.
    var help: ArgumentHelp { ArgumentHelp("\(facts.summary) (\(facts.name), default \(facts.fallback.words))") }
}

/// What is told of a setting, and whether a text is good for it.
struct SettingFacts: Sendable {
    /// What holds where nobody has said anything.
    enum Fallback: Sendable {
        case text(String)
        /// Nothing, or what the server finds out by itself: in words.
        case none(String)
        /// What follows from other settings: in words, and what it is.
        case follows(String, @Sendable (Environment) throws -> String)

        var words: String {
            switch self {
            case .text(let words), .none(let words), .follows(let words, _): words
            }
        }
    }

    /// The variable of the environment.
    let name: String
    /// As it is typed; nil for what can only stand in the environment and in files.
    let flag: String?
    /// What it is for, in a sentence or two.
    let summary: String
    let fallback: Fallback
    fileprivate let givenExample: String?
    /// Whether nobody may see its value. Then it may also be read from the file that the same name with `_FILE` names.
    let isSecret: Bool
    /// - Throws: `ValidationError` for a text that is no value of it.
    let check: @Sendable (String) throws -> Void

    /// The variable that names the file with the value.
    var fileName: String? { isSecret ? Self.fileName(of: name) : nil }

    static func fileName(of name: String) -> String { name + "_FILE" }

    /// A good value, to begin with.
    var example: String {
        if let givenExample { return givenExample }
        if case .text(let text) = fallback { return text }
        return ""
    }
}
