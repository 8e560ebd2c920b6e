internal import ArgumentParser
internal import Foundation
internal import Server

/// `apus config`
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Tells every setting, its value, and where that comes from.",
        discussion: """
            With the options of `apus serve`, as that would see them. Secrets are not shown. What is wrong is told, all of it; the exit \
            code is 1 then.
            """)

    @Flag(help: "One line of JSON.") var json = false

    @Option(
        help: """
            Looks at this file alone instead: variables, one a line, as in /etc/apus/apus.env, or an etebase-server.ini.
            """)
    var check: String?

    @Flag(help: "Prints a file of all settings to begin with, each commented out.") var template = false

    @Flag(help: "Prints a page of all settings, in Markdown.") var markdown = false

    @OptionGroup var dataOptions: DataOptions
    @OptionGroup var options: ServeOptions

    func run() throws {
        if template { return Swift.print(SettingsTemplate.text, terminator: "") }
        if markdown { return Swift.print(SettingsPage.text, terminator: "") }
        let environment =
            if let check {
                Environment(examining: [:], flags: [Settings.config.name: check])
            } else {
                Environment(
                    examining: ProcessInfo.processInfo.environment, flags: dataOptions.flags.merging(options.flags) { $1 })
            }
        let mistakes = environment.mistakes + environment.wrongValues
        if json {
            let settings = Settings.all.map { SettingShown($0, environment) }
            print(try JSONLine.text(SettingsShown(settings: settings, notices: environment.notices, mistakes: mistakes)))
        } else {
            // Of a file only what it says.
            let shown = check == nil ? Settings.all : Settings.all.filter { environment.isSaid($0) }
            for line in Self.table(shown.map { SettingShown($0, environment) }) { print(line) }
            for notice in environment.notices { print("notice: \(notice)") }
            for mistake in mistakes { print("mistake: \(mistake)") }
        }
        guard mistakes.isEmpty else { throw ExitCode(1) }
    }

    private static func table(_ settings: [SettingShown]) -> [String] {
        let names = settings.map(\.name.count).max() ?? 0
        return settings.map { setting in
            let name = setting.name + String(repeating: " ", count: names - setting.name.count)
            let value = setting.value ?? (setting.isSecret && setting.source != SettingShown.fallback ? "(not shown)" : setting.fallback)
            return "\(name)  \(value)  [\(setting.path.map { "\(setting.source) \($0)" } ?? setting.source)]"
        }
    }
}

extension Environment {
    /// Whether a setting has something from elsewhere than the command line.
    fileprivate func isSaid(_ setting: SettingFacts) -> Bool { found(setting).map { $0.given.origin != .commandLine } ?? false }

    /// Every text that is no value of its setting, and every pair of settings that do not go together; in words.
    var wrongValues: [String] {
        var words: [String] = []
        for setting in Settings.all {
            do { if let text = try text(setting) { try setting.check(text) } } catch { words.append(Self.words(error)) }
        }
        guard words.isEmpty else { return words }
        do {
            let data = try dataSettings()
            try data.requireConsistent()
            let isShared = if case .postgres = data.database { try optional(Settings.redisURL) != nil } else { false }
            try serverSettings().requireTickets(areShared: isShared)
        } catch { words.append(Self.words(error)) }
        return words
    }

    private static func words(_ error: any Error) -> String { (error as? ValidationError)?.message ?? "\(error)" }
}

/// All settings, as they are told.
private struct SettingsShown: Encodable {
    let settings: [SettingShown]
    let notices: [String]
    let mistakes: [String]
}

/// A setting, as it is told. A secret has no value here.
struct SettingShown: Encodable {
    static let fallback = "default"

    let name: String
    let flag: String?
    let value: String?
    /// `command line`, `environment`, `file`, `etebase-server.ini` or `default`.
    let source: String
    /// Of the file that has the value.
    let path: String?
    let isSecret: Bool
    let fallback: String

    init(_ setting: SettingFacts, _ environment: Environment) {
        (name, flag, isSecret, fallback) = (setting.name, setting.flag, setting.isSecret, setting.fallback.words)
        guard let (name, given) = environment.found(setting) else {
            value = Self.shownDefault(setting, environment)
            (source, path) = (Self.fallback, nil)
            return
        }
        // What a secret's file says is the secret, so that file is where it comes from.
        let origin: Environment.Origin = name == setting.fileName ? .file(given.text) : given.origin
        (source, path) =
            switch origin {
            case .commandLine: ("command line", nil)
            case .environment: ("environment", nil)
            case .file(let path): ("file", path)
            case .configuration(let path): ("etebase-server.ini", path)
            }
        // Only an address of SQLite is known to hold none.
        value = setting.isSecret && !(name == setting.name && given.text.hasPrefix("sqlite:")) ? nil : given.text
    }

    private static func shownDefault(_ setting: SettingFacts, _ environment: Environment) -> String? {
        switch setting.fallback {
        case .text(let text): return text
        case .none: return nil
        // What it follows from may be wrong, which is told of that.
        case .follows(let words, let text): do { return try text(environment) } catch { return words }
        }
    }
}
