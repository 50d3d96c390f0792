"""Files of gamma spectra, made from their manuals: ORTEC's .Spc and .Chn, Amptek's .mca, both editions of N42.42."""

import struct

COUNTS = [0, 3, 0, 0, 0, 41, 7, 0]


def spc(counts=COUNTS, real=61.25, live=60.5, kind=1, texts=(b"60.50", b"61.25"), first=22):
    """Return a .Spc as ORTEC's manual draws it; `first`: the record in which the spectrum begins, from 1."""
    records = -(-len(counts) * 4 // 128)
    words = {0: 1, 2: kind, 8: 3, 10: 4, 12: 5, 60: first, 62: records, 64: len(counts)}
    head = bytearray(128)
    for offset, value in words.items():
        struct.pack_into("<H", head, offset, value)
    struct.pack_into("<ff", head, 90, real, live)
    text = b"THYROID.SPC".ljust(16) + b"22-NOV-261\0\0" + b"08:30:00\0\0" + texts[0].ljust(10) + texts[1].ljust(10)
    text = text.ljust(92, b"\0") + b"22-NOV-26\1" + b"08:30:00" + b"22-NOV-26\1" + b"08:31:01"
    sample = b"thyroid, phantom"
    front = bytes(head) + bytes(128) + text.ljust(128, b"\0") + sample.ljust(128, b"\0") + b"NaI 3x3".ljust(128, b"\0")
    front = front.ljust((first - 1) * 128, b"\0")
    # becquerel wants its calibration in the last record, and ours does not look at it
    end = bytes(256) + struct.pack("<fff", 0, 0.5, 0).ljust(128, b"\0")
    form = "i" if kind == 1 else "f"
    return front + struct.pack(f"<{len(counts)}{form}", *counts).ljust(records * 128, b"\0") + end


def chn(counts=COUNTS, date=b"22NOV261", sample=b"thyroid, phantom"):
    """Return a .Chn as ORTEC's manual draws it, of 60.50 s live and 61.26 s real time."""
    head = struct.pack("<hHH2sII8s4sHH", -1, 1, 1, b"05", 3063, 3025, date, b"0830", 0, len(counts))
    tail = struct.pack("<hhfff", -102, 0, 0, 0.5, 0).ljust(256, b"\0") + b"\x07NaI 3x3".ljust(64, b"\0")
    tail += (bytes((len(sample),)) + sample).ljust(64, b"\0")
    return head + struct.pack(f"<{len(counts)}I", *counts) + tail.ljust(512, b"\0")


MCA = b"<<PMCA SPECTRUM>>\r\nTAG - live_data\r\nDESCRIPTION - thyroid, phantom\r\nGAIN - 0\r\nLIVE_TIME - 60.50\r\n"
MCA += b"REAL_TIME - 61.25\r\nSTART_TIME - 11/22/2026 08:30:00\r\nSERIAL_NUMBER - 1\r\n<<DATA>>\r\n"
MCA += b"".join(b"%d\r\n" % count for count in COUNTS) + b"<<END>>\r\n<<DP5 CONFIGURATION>>\r\nRESC=?;\r\n"
ATS = (
    "TIME = 60\r\nACTIVITY = 0.000000\r\nREMARK = \r\nDATE = 22.11.2026 08:30:00\r\nREALTIME = 61\r\nENCRYPTED = 0\r\n"
)
ATS += "BGNDSUBTRACTED = 0\r\nECALIBRATION = 2\r\n0\r\n3\r\nSPECTR = 8\r\n" + "".join(
    f"{count}\r\n" for count in COUNTS
)
_POINTS = "".join(f"<DataPoint>{count}</DataPoint>" for count in COUNTS)
RADIACODE = f"""<?xml version="1.0"?>
<ResultDataFile xmlns:xsd="http://www.w3.org/2001/XMLSchema"><FormatVersion>120920</FormatVersion><ResultDataList>
<ResultData><DeviceConfigReference><Name>RadiaCode-102</Name></DeviceConfigReference>
<SampleInfo><Name>thyroid</Name><Note></Note></SampleInfo>
<StartTime>2026-11-22T08:30:00</StartTime><EndTime>2026-11-22T08:31:01</EndTime>
<EnergySpectrum><NumberOfChannels>8</NumberOfChannels><ChannelPitch>1</ChannelPitch>
<SpectrumName><![CDATA[thyroid, phantom]]></SpectrumName><SerialNumber>RC-102-000001</SerialNumber>
<EnergyCalibration><PolynomialOrder>2</PolynomialOrder>
<Coefficients><Coefficient>0</Coefficient><Coefficient>2.4</Coefficient><Coefficient>4E-4</Coefficient></Coefficients>
</EnergyCalibration><MeasurementTime>61</MeasurementTime><LiveTime>60.50</LiveTime>
<Spectrum>{_POINTS}</Spectrum></EnergySpectrum>
<BackgroundEnergySpectrum><NumberOfChannels>8</NumberOfChannels><SpectrumName>empty van</SpectrumName>
<EnergyCalibration><PolynomialOrder>2</PolynomialOrder>
<Coefficients><Coefficient>0</Coefficient><Coefficient>2.4</Coefficient><Coefficient>4E-4</Coefficient></Coefficients>
</EnergyCalibration><MeasurementTime>3600</MeasurementTime><LiveTime>0</LiveTime>
<Spectrum>{_POINTS.replace("41", "1")}</Spectrum></BackgroundEnergySpectrum>
</ResultData></ResultDataList></ResultDataFile>
""".encode()
N42_2012 = b"""<?xml version="1.0" encoding="UTF-8"?>
<?xml-model href="http://physics.nist.gov/N42/2011/schematron/n42.sch" type="application/xml"?>
<n:RadInstrumentData xmlns:n="http://physics.nist.gov/N42/2011/N42" n42DocUUID="d72b7fa7-4a20-43d4-b1b2-7e3b8c6620c1">
  <n:RadInstrumentInformation id="i1"><n:RadInstrumentManufacturerName>Made for tests</n:RadInstrumentManufacturerName>
    <n:RadInstrumentModelName>none</n:RadInstrumentModelName>
    <n:RadInstrumentClassCode>Other</n:RadInstrumentClassCode></n:RadInstrumentInformation>
  <n:RadDetectorInformation id="d1"><n:RadDetectorCategoryCode>Gamma</n:RadDetectorCategoryCode>
    <n:RadDetectorKindCode>NaI</n:RadDetectorKindCode></n:RadDetectorInformation>
  <n:EnergyCalibration id="e1"><n:CoefficientValues>0 3 0</n:CoefficientValues></n:EnergyCalibration>
  <n:RadMeasurement id="m1">
    <n:MeasurementClassCode>Foreground</n:MeasurementClassCode>
    <n:StartDateTime>2026-11-22T08:30:00Z</n:StartDateTime>
    <n:RealTimeDuration>PT61.25S</n:RealTimeDuration>
    <n:Spectrum id="s1" radDetectorInformationReference="d1" energyCalibrationReference="e1">
      <n:LiveTimeDuration>PT60.50S</n:LiveTimeDuration>
      <n:ChannelData compressionCode="CountedZeroes">0 1 3 0 3 41 7 0 1</n:ChannelData>
    </n:Spectrum>
  </n:RadMeasurement>
  <n:RadMeasurement id="m2">
    <n:MeasurementClassCode>Background</n:MeasurementClassCode>
    <n:StartDateTime>2026-11-22T08:20:00Z</n:StartDateTime>
    <n:RealTimeDuration>PT5M</n:RealTimeDuration>
    <n:Spectrum id="s2" radDetectorInformationReference="d1" energyCalibrationReference="e1">
      <n:LiveTimeDuration>PT5M</n:LiveTimeDuration>
      <n:ChannelData compressionCode="None">1 1 1 1 0 0 0 1</n:ChannelData>
    </n:Spectrum>
  </n:RadMeasurement>
</n:RadInstrumentData>
"""
N42_2006 = b"""<?xml version="1.0" encoding="UTF-8"?>
<N42InstrumentData xmlns="http://physics.nist.gov/Divisions/Div846/Gp4/ANSIN4242/2005/ANSIN4242">
  <Measurement>
    <InstrumentInformation><InstrumentType>Other</InstrumentType><Manufacturer>Made for tests</Manufacturer>
    </InstrumentInformation>
    <Spectrum Type="PHA">
      <StartTime>2026-11-22T08:30:00</StartTime>
      <RealTime>PT61.25S</RealTime>
      <LiveTime>PT60.50S</LiveTime>
      <SourceType>Item</SourceType>
      <Calibration Type="Energy" EnergyUnits="keV">
        <Equation Model="Polynomial"><Coefficients>0 3 0</Coefficients></Equation></Calibration>
      <ChannelData Compression="CountedZeroes">0 1 3 0 3 41 7 0 1</ChannelData>
    </Spectrum>
  </Measurement>
</N42InstrumentData>
"""
