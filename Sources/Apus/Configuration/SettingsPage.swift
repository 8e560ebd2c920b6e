/// The page of all settings for people: `ops/docs/options.md` is this text.
enum SettingsPage {
    static var text: String {
        var lines = [
            "# Options", "",
            "<!-- Made by `apus config --markdown`, from the program's own list: change that, and make this file anew. -->", "",
            """
            Each is a variable, which the package reads from `/etc/apus/apus.env`, a container from its environment, and everybody else from \
            the environment or from the file that `--config` names; most are flags of `apus serve` too. A flag comes before the environment, that \
            before the file. `ops/apus.env` is a file with all of them, commented out; `apus config` prints it with `--template`.
            """, "",
            """
            An unknown `APUS_` variable is an error, so that a misspelt one is not overlooked; those that Kubernetes makes for Services called \
            `apus…` are passed over. Sizes have units: `75MB`, `32MiB`, or a plain number of bytes. Times too: `90s`, `15m`, `12h`, `365d`. What is \
            secret can be read from a file, whose name the variable with `_FILE` says.
            """,
        ]
        for (heading, settings) in Settings.parts {
            lines += ["", "## \(heading)", "", "| variable | flag | default | what it is |", "|---|---|---|---|"]
            lines += settings.map(row)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func row(_ setting: SettingFacts) -> String {
        let names = [setting.name, setting.fileName].compactMap { $0 }.map(code).joined(separator: ", ")
        let fallback =
            switch setting.fallback {
            case .text(let text): code(text)
            case .none(let words), .follows(let words, _): cell(words)
            }
        return "| \(names) | \(setting.flag.map(code) ?? "") | \(fallback) | \(cell(setting.summary)) |"
    }

    private static func code(_ text: String) -> String { "`\(cell(text))`" }

    /// A bar would end the cell.
    private static func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
