/// A user's name in the form in which names are stored and compared.
///
/// What asks a database for a name takes this type: the work on a text that somebody has sent is done by whoever makes it, and
/// never on a thread of the database.
package struct CanonicalName: Hashable, Sendable {
    package let text: String

    /// - Parameter name: as it was written; of what cannot be a name it is one that nobody has.
    package init(_ name: String) { text = Username.canonical(name) }

    package static func == (one: CanonicalName, other: CanonicalName) -> Bool { one.text.isExactly(other.text) }
    package func hash(into hasher: inout Hasher) { hasher.combine(ExactText(text)) }
}

/// What people give for an account: its name, or with an @ its email address (QUIRKS.md 30). As with ``CanonicalName``, the
/// work on the text is done where one is made.
package struct AccountName: Sendable {
    package let name: CanonicalName
    /// In lower case; nil where the text is no address.
    package let email: String?
    /// Whether there can be no such account: the text is too long for that, or an erased user's.
    package let isNobodys: Bool

    /// - Parameter text: as it was written.
    package init(_ text: String) {
        name = CanonicalName(text)
        isNobodys = !Username.canBe(text) || Username.isErased(name.text)
        email = !isNobodys && text.has("@") ? text.lowercased() : nil
    }
}
