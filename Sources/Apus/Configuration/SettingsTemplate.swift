/// The file of all settings to begin with: `ops/apus.env` is this text.
enum SettingsTemplate {
    private static let widest = 130

    static var text: String {
        var lines = paragraph(
            """
            The settings of apus, one variable a line: a good value of each, commented out. It is read by systemd (EnvironmentFile=), by \
            docker run --env-file, and by apus itself with --config. A variable of the environment comes before it, an option of the command \
            line before both. `apus config --check FILE` looks whether all is understood; `apus config` tells what holds, and why. Where a name \
            ends in _FILE, the value is read from the file that it names.
            """)
        for (heading, settings) in Settings.parts {
            lines += ["", "", "# \(heading)"]
            for setting in settings {
                lines += [""] + paragraph("\(setting.summary) Default: \(setting.fallback.words)")
                lines.append("#\(setting.name)=\(setting.example)")
                if let fileName = setting.fileName { lines.append("#\(fileName)=\(path(of: setting.name))") }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Where the package's settings lie too: `/etc/apus/database-url`.
    private static func path(of name: String) -> String {
        "/etc/apus/" + name.dropFirst("APUS_".count).lowercased().replacing("_", with: "-")
    }

    /// A comment.
    private static func paragraph(_ text: String) -> [String] {
        var lines: [String] = []
        var line = "#"
        for word in text.split(separator: " ") {
            if line.count + 1 + word.count > widest {
                lines.append(line)
                line = "#"
            }
            line += " \(word)"
        }
        return lines + [line]
    }
}
