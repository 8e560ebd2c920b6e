internal import Contents
internal import Doctor
internal import Pages

/// What the admins' pages show of the settings, and of what the doctor finds with them.
enum AdminSettings {
    /// Every setting, with where it comes from; no secrets.
    static func all(_ environment: Environment) -> [AdminPages.Setting] {
        Settings.all.map { facts in
            let shown = SettingShown(facts, environment)
            let value = shown.value ?? (facts.isSecret && shown.source != SettingShown.fallback ? "(not shown)" : shown.fallback)
            let source = shown.path.map { "\(shown.source) \($0)" } ?? shown.source
            return AdminPages.Setting(name: shown.name, value: value, source: source, summary: facts.summary)
        }
    }

    /// What `apus doctor` would find on this machine.
    static func diagnose(_ environment: Environment) async -> [AdminPages.Finding] {
        let checks: [Check]
        do { checks = Inside.checks(try environment.patient()) } catch { checks = Inside.mistakes(environment.wrongValues) }
        return await Doctor.examine(checks, mends: false, told: { _ in }).map { examined in
            AdminPages.Finding(
                number: examined.number, title: examined.title, result: examined.finding.result.rawValue, found: examined.finding.found,
                meaning: examined.finding.meaning, remedy: examined.finding.remedy)
        }
    }
}

extension Environment {
    /// What the doctor looks at.
    ///
    /// - Throws: `ValidationError`
    func patient() throws -> Patient {
        Patient(
            try dataSettings(), address: try value(Settings.listen), redis: try optional(Settings.redisURL),
            directory: try directorySettings(), keepsFiles: try value(Settings.chunks).place == .files, version: Apus.version)
    }
}
