internal import Domain
internal import ReadModel

/// What lies beside an export, for whoever it is about.
enum ExportReadMe {
    static func text(of name: CanonicalName, at time: Timestamp, _ report: PersonExport.Report) -> String {
        let files = PersonLine.Kind.allCases.map { kind in
            "\(kind.file.padding(24))\(about(kind)): \(report.lines[kind] ?? 0)"
        }
        return """
            What this server stores of \(name.text.visibleLine), as of \(time.text) UTC.

            Calendars, contacts, tasks and notes are encrypted by the apps before they reach the server. The server cannot read them, and
            so nobody can read them here: not the titles, not the contents, not the names of collections. Whoever has the password reads
            them in an app; to have them in the clear, use the app's own export.

            The files with the ending .jsonl hold a line of JSON for each thing. Fields that are encrypted or keys are in base64.

            \(files.joined(separator: "\n"))
            \("chunks/".padding(24))encrypted contents, a file for each, as chunks.jsonl names them: \(report.contents)

            Not among them are the secrets that let somebody in: tokens of sessions, and a hash of a password of the administration pages,
            where there is one. Other people are named where they share a collection, as the apps show them. Contents of collections that
            were deleted by the account itself are among the revisions, for as long as the server keeps them.
            \(report.missing == 0 ? "" : "\n\(report.missing) encrypted contents are not stored where they should be.\n")
            """
    }

    private static func about(_ kind: PersonLine.Kind) -> String {
        switch kind {
        case .account: "the account, with its public and encrypted keys"
        case .sessions: "logins, open ones and those that the history speaks of"
        case .collections: "collections, one's own and those of others that are shared"
        case .members: "who shares these collections"
        case .items: "what is in them, with encrypted keys"
        case .revisions: "how it was changed, with encrypted metadata"
        case .chunks: "which encrypted contents there are"
        case .invitations: "open invitations to collections"
        case .leftCollections: "collections that were shared once"
        case .audit: "what was done when, in which session"
        }
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
